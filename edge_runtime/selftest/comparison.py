"""Compare one step of a self-test with the golden vectors."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from edge_runtime.bundle.runtime_manifest import FileEntry, Format
from edge_runtime.bundle.spec import ModelSpec
from edge_runtime.decision.verdict import Decision
from edge_runtime.explain.explanation import spread_share
from edge_runtime.golden.logits import Logits, absolute, distance_difference, judged_difference, relative
from edge_runtime.golden.vectors import Golden, digest, sample
from edge_runtime.preprocessing.steps import MinMax, PixelType
from edge_runtime.selftest.certificate import Check, Step

MAPS = 1e-3
"""Tolerance of heatmaps, as a share of their range: ten times export's, as processors add in different orders."""

FLOAT_STEPS = 1e-6
"""Tolerance of tensors after a float32 step, relative to max(1, |value|): eight units in the last place."""


def compare_tensors(golden: Golden, tensors: npt.NDArray[np.float32], spec: ModelSpec) -> Check:
    """Compare tensors, float32 N×H×W×C, with the golden tensors.

    uint8 steps give equal bits on all processors, so the SHA-256 of the tensors must be equal. Float32 steps may add in
    another order, so the sampled values must be within :data:`FLOAT_STEPS`.
    """
    same = np.array([bool((digest(t) == d).all()) for t, d in zip(tensors, golden.digests, strict=True)])
    found = np.stack([sample(tensor) for tensor in tensors])
    worst = relative(found, golden.samples).max(axis=1)
    tolerance = FLOAT_STEPS if _floating(spec) else 0.0
    return Check(
        step=Step.TENSOR,
        subject="pictures",
        runtime=None,
        values=len(same),
        differing=int((~same).sum()),
        difference=_number(worst.max()),
        tolerance=tolerance,
        largest=_number(absolute(found, golden.samples).max()),
        keras_difference=None,
        picture=None if same.all() else golden.names[int(np.argmax(np.where(same, -1.0, worst)))],
        problem="",
        passed=bool(same.all()) or (tolerance > 0 and bool(worst.max() <= tolerance)),
    )


def compare_logits(golden: Golden, entry: FileEntry, runtime: str, found: Logits, tolerance: float) -> Check:
    """Compare one file's logits, float32 N×outputs, with those from the exporting machine."""
    stored = golden.logits[entry.name]
    apart = absolute(found, stored)
    judged = judged_difference(entry, found, stored)
    differing = int((found != stored).sum())
    return Check(
        step=Step.LOGITS,
        subject=entry.name,
        runtime=runtime,
        values=stored.size,
        differing=differing,
        difference=_number(judged),
        tolerance=tolerance,
        largest=_number(apart.max()),
        keras_difference=_number(absolute(found, golden.keras).max()),
        picture=golden.names[int(apart.max(axis=1).argmax())] if differing else None,
        problem="",
        passed=bool(judged <= tolerance),
    )


def compare_distances(
    golden: Golden, entry: FileEntry, runtime: str, found: npt.NDArray[np.float64], tolerance: float
) -> Check:
    """Compare one file's out-of-distribution distances, float64 N, with those from the exporting machine."""
    stored = golden.distances[entry.name]
    apart = np.abs(found - stored)
    differing = int((found != stored).sum())
    difference = distance_difference(found, stored)
    return Check(
        step=Step.DISTANCE,
        subject=entry.name,
        runtime=runtime,
        values=stored.size,
        differing=differing,
        difference=_number(difference),
        tolerance=tolerance,
        largest=_number(apart.max()),
        keras_difference=None,
        picture=golden.names[int((apart / stored).argmax())] if differing else None,
        problem="",
        passed=bool(difference <= tolerance),
    )


def compare_decisions(golden: Golden, form: Format, runtime: str, found: Sequence[Decision]) -> Check:
    """Compare the predictor's decisions with those of the same format from the exporting machine."""
    stored = golden.decisions[form]
    differ = [name for name, a, b in zip(golden.names, found, stored, strict=True) if a is not b]
    return Check(
        step=Step.DECISION,
        subject="pictures",
        runtime=runtime,
        values=len(stored),
        differing=len(differ),
        difference=float(len(differ)),
        tolerance=0.0,
        largest=float(len(differ)),
        keras_difference=None,
        picture=differ[0] if differ else None,
        problem="",
        passed=not differ,
    )


def compare_maps(golden: Golden, maps: Sequence[Logits], runtime: str) -> Check:
    """Compare heatmaps, each float32 h×w, with TensorFlow's; maps of zeros must be zero in both."""
    stored = [] if golden.maps is None else list(golden.maps)
    worst = np.array([spread_share(found, there) for found, there in zip(maps, stored, strict=True)])
    return Check(
        step=Step.MAP,
        subject="pictures",
        runtime=runtime,
        values=len(stored),
        differing=sum(not np.array_equal(found, there) for found, there in zip(maps, stored, strict=True)),
        difference=_number(worst.max()),
        tolerance=MAPS,
        largest=_number(np.max([np.abs(found - there).max() for found, there in zip(maps, stored, strict=True)])),
        keras_difference=None,
        picture=golden.names[int(worst.argmax())] if worst.any() else None,
        problem="",
        passed=bool(worst.max() <= MAPS),
    )


def _floating(spec: ModelSpec) -> bool:
    """Return whether a step computes in float32 with more than one rounding."""
    return any(isinstance(s, MinMax) or getattr(s, "result", None) is PixelType.FLOAT32 for s in spec.steps)


def _number(value: float | np.floating) -> float | None:
    """Return a difference rounded to four digits; None for NaN and infinity, which JSON cannot represent."""
    return float(f"{float(value):.4g}") if np.isfinite(value) else None
