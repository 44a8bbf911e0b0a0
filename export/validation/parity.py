"""Every exported file against the Keras model, from the same tensors to logits, scores and decisions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from edge_runtime.bundle.manifest import ROUNDED, Attempt, FileEntry, Format, Parity, Precision
from edge_runtime.bundle.spec import ModelSpec
from edge_runtime.decision.rule import decisions, margins, near_threshold
from edge_runtime.decision.scores import positive_scores, scores_of
from edge_runtime.decision.verdict import Decision
from edge_runtime.inference.backends.base import Runtime
from edge_runtime.inference.backends.registry import FORMAT, open_model
from export.errors import ParityError

Logits = npt.NDArray[np.float32]

RUNTIMES = {FORMAT[runtime]: runtime for runtime in (Runtime.LITERT, Runtime.ONNXRUNTIME)}
"""The runtime on which each format is checked at export."""

USUAL = 0.95
"""The share of parity images whose int8 error the guard band covers at least."""


@dataclass(frozen=True)
class FileLogits:
    """One file's logits (float32 N×outputs) for the parity images."""

    entry: FileEntry
    runtime: Runtime
    logits: Logits


def answer(folder: Path, entry: FileEntry, tensors: npt.NDArray[np.float32]) -> FileLogits:
    """Run a model file of ``folder`` on prepared images."""
    if entry.format is None:
        raise TypeError(f"{entry.name} is no model file")
    return FileLogits(entry, RUNTIMES[entry.format], logits_of(folder / entry.name, entry.format, tensors))


def logits_of(path: Path, form: Format, tensors: npt.NDArray[np.float32]) -> Logits:
    """Run a file on prepared images, float32 N×H×W×C."""
    backend = open_model(path.read_bytes(), RUNTIMES[form])
    try:
        return backend.run(tensors)
    finally:
        backend.close()


def judge(path: Path, how: str, logits: Logits, reference: Logits, spec: ModelSpec) -> Attempt:
    """Hold an int8 file's logits against the Keras model's, and say whether they are within the spec's tolerance."""
    if logits.shape != reference.shape or not np.isfinite(logits).all():
        return Attempt(path.name, how, failure=f"found logits of shape {logits.shape} that are not all finite")
    score = float(np.abs(positive_scores(logits, spec) - positive_scores(reference, spec)).mean())
    flips = _flips(decisions(logits, spec), decisions(reference, spec))
    return Attempt(
        file=path.name,
        how=how,
        size_bytes=path.stat().st_size,
        images=len(logits),
        score_mean=_short(np.float64(score)),
        flips=flips,
        passed=score <= spec.tolerance.int8_score_mean and flips <= allowed_flips(len(logits), spec),
    )


def allowed_flips(images: int, spec: ModelSpec) -> int:
    """Return how many of so many decisions may flip; one always may, since fewer say nothing of a rate."""
    return max(1, int(images * spec.tolerance.int8_flips_per_1000 / 1000))


def check(found: FileLogits, reference: Logits, spec: ModelSpec) -> None:
    """Compare one file with the Keras model.

    Raises:
        ParityError: another shape, values that are not finite, or a difference over the spec's tolerance.
    """
    name, logits = f"{found.entry.name} on {found.runtime.value}", found.logits
    if logits.shape != reference.shape:
        raise ParityError(f"{name}: logits of shape {logits.shape}, the Keras model gives {reference.shape}.")
    if not np.isfinite(logits).all():
        raise ParityError(f"{name}: {int((~np.isfinite(logits)).sum())} of {logits.size} logits are not finite.")
    limit = spec.tolerance
    if found.entry.precision is Precision.FLOAT32:
        difference = np.abs(logits - reference) / np.maximum(1.0, np.abs(reference))
        _refuse_over(name, logits.shape, "relative |Δ logit|", float(difference.max()), limit.float32_logit_max)
        return
    scores = np.abs(positive_scores(logits, spec) - positive_scores(reference, spec))
    _refuse_over(name, logits.shape, "mean |Δ score|", float(scores.mean()), limit.int8_score_mean)
    flips, allowed = _flips(decisions(logits, spec), decisions(reference, spec)), allowed_flips(len(logits), spec)
    _refuse_over(name, logits.shape, "flipped decisions", flips, allowed)


def _refuse_over(name: str, shape: tuple[int, ...], what: str, found: float, limit: float) -> None:
    if not found <= limit:
        raise ParityError(
            f"{name}: {what} is {found:.6g}, tolerance {limit:.6g}, over logits of shape {shape}. "
            "Nothing was written. More or better calibration images help an int8 file; a float32 file "
            "that differs points at a conversion fault."
        )


def guard_band(pairs: Sequence[tuple[Logits, Logits]], spec: ModelSpec) -> float:
    """Return the band around the thresholds in which the float32 file decides.

    It holds every image on which a rounded file and its float32 file disagree here, and is no narrower than the
    usual error of either, so that few images without a disagreement do not make it zero.

    Args:
        pairs: (rounded, float32) logits of the same images, one pair an int8 or float16 file.

    Returns:
        Distance to the nearest threshold, 0..1 in score.
    """
    if not pairs:  # nothing is rounded
        return 0.0
    band = 0.0
    for int8, float32 in pairs:
        error = np.abs(_thresholded(int8, spec) - _thresholded(float32, spec)).max(axis=1)
        differ = np.array([a is not b for a, b in zip(decisions(int8, spec), decisions(float32, spec), strict=True)])
        band = max(band, float(np.quantile(error, USUAL)), *margins(int8, spec)[differ].tolist())
    return round(band + 5e-7, 6)


def exceptions(images: int) -> float:
    """Return the upper 95 % bound on the share of images outside the band that int8 decides otherwise.

    The band reaches beyond every exception among ``images`` images. The share p of images whose exception lies
    beyond the farthest of n drawn ones satisfies (1 - p)^n >= .05 with 95 % confidence, whatever the distribution
    (Wilks 1941, Determination of Sample Sizes for Setting Tolerance Limits, Ann Math Stat 12:91). It holds for
    images drawn independently; images of one patient are worth fewer.
    """
    return _short(np.float64(1.0 - 0.05 ** (1.0 / images)))


def _thresholded(logits: Logits, spec: ModelSpec) -> npt.NDArray[np.float64]:
    """Return what the policy compares with thresholds: positive score and confidence, N×2."""
    return np.stack([positive_scores(logits, spec), scores_of(logits, spec).max(axis=1)], axis=1)


def measure(found: FileLogits, float32: Logits, reference: Logits, spec: ModelSpec, band: float) -> Parity:
    """Return the manifest's row for one file.

    Args:
        float32: logits of the float32 file in the same format, which decides inside the guard band.
    """
    delta = np.abs(found.logits.astype(np.float64) - reference)
    score = np.abs(positive_scores(found.logits, spec) - positive_scores(reference, spec))
    rerun = near_threshold(found.logits, spec, band if found.entry.precision in ROUNDED else 0.0)
    guarded = np.where(rerun[:, np.newaxis], float32, found.logits)
    truth = decisions(reference, spec)
    return Parity(
        file=found.entry.name,
        runtime=found.runtime.value,
        images=len(score),
        logit_max=_short(delta.max()),
        logit_mean=_short(delta.mean()),
        score_max=_short(score.max()),
        score_mean=_short(score.mean()),
        flips=_flips(decisions(found.logits, spec), truth),
        flips_guarded=_flips(decisions(guarded, spec), truth),
        reruns=int(rerun.sum()),
    )


def _flips(ours: list[Decision], theirs: list[Decision]) -> int:
    return sum(a is not b for a, b in zip(ours, theirs, strict=True))


def _short(value: np.floating) -> float:
    return float(f"{float(value):.4g}")
