"""Compare exported files with the Keras model on the same tensors: logits, scores and decisions."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from edge_runtime.bundle.manifest import ROUNDED, Attempt, FileEntry, Format, Parity, Precision
from edge_runtime.bundle.spec import ModelSpec
from edge_runtime.decision.rule import decisions, margins, near_threshold
from edge_runtime.decision.scores import positive_scores, scores_of
from edge_runtime.decision.verdict import Decision
from edge_runtime.inference.backends.base import Backend, Runtime
from edge_runtime.inference.backends.registry import FORMAT, open_model
from export.errors import ParityError
from export.source.stored_tensors import Tensors, batches

Logits = npt.NDArray[np.float32]

RUNTIMES = {FORMAT[runtime]: runtime for runtime in (Runtime.LITERT, Runtime.ONNXRUNTIME)}
"""The runtime on which each format is checked at export."""

USUAL = 0.95
"""Smallest share of parity images whose int8 error lies within the guard band."""

LARGEST_ROUNDING = 1e-3
"""Largest relative |Δ logit| of a float32 file that is put down to rounding alone."""


@dataclass(frozen=True)
class FileLogits:
    """Logits of one file for the parity images, float32 N×outputs.

    Attributes:
        moments: moments of a feature map for the same images, float32 N×2C; None if the file returns none.
    """

    entry: FileEntry
    runtime: Runtime
    logits: Logits
    moments: Logits | None = None


def answer(folder: Path, entry: FileEntry, tensors: Tensors) -> FileLogits:
    """Run a model file of ``folder`` on preprocessed images, float32 N×H×W×C."""
    if entry.format is None:
        raise TypeError(f"{entry.name} is no model file")
    backend = open_model((folder / entry.name).read_bytes(), RUNTIMES[entry.format])
    try:
        return FileLogits(entry, RUNTIMES[entry.format], *run_with_moments(backend, tensors))
    finally:
        backend.close()


def run_with_moments(backend: Backend, tensors: Tensors) -> tuple[Logits, Logits | None]:
    """Return logits (float32 N×outputs) and moments (float32 N×2C, or None), with few images in memory."""
    logits, moments = zip(*(backend.run_with_moments(batch) for batch in batches(tensors)), strict=True)
    return np.concatenate(logits), None if moments[0] is None else np.concatenate(moments)


def logits_of(path: Path, form: Format, tensors: Tensors) -> Logits:
    """Run a model file on preprocessed images (float32 N×H×W×C); return logits, float32 N×outputs."""
    backend = open_model(path.read_bytes(), RUNTIMES[form])
    try:
        return np.concatenate([backend.run(batch) for batch in batches(tensors)])
    finally:
        backend.close()


def judge(path: Path, how: str, logits: Logits, reference: Logits, spec: ModelSpec) -> Attempt:
    """Compare an int8 file's logits with the Keras model's; the attempt passes if they are within the tolerance.

    Args:
        how: name of the quantisation scheme.
        logits, reference: of the int8 file and of the Keras model, float32 N×outputs.
    """
    if logits.shape != reference.shape or not np.isfinite(logits).all():
        return Attempt(path.name, how, failure=f"found logits of shape {logits.shape} that are not all finite")
    score = float(np.abs(positive_scores(logits, spec) - positive_scores(reference, spec)).mean())
    flips = _flips(decisions(logits, spec), decisions(reference, spec))
    return Attempt(
        file=path.name,
        how=how,
        size_bytes=path.stat().st_size,
        images=len(logits),
        score_mean=_four_digits(np.float64(score)),
        flips=flips,
        passed=score <= spec.tolerance.int8_score_mean and flips <= allowed_flips(len(logits), spec),
    )


def allowed_flips(images: int, spec: ModelSpec) -> int:
    """Return the number of allowed decision flips among ``images``; at least 1, since 1 flip gives no rate."""
    return max(1, int(images * spec.tolerance.int8_flips_per_1000 / 1000))


def check(found: FileLogits, reference: Logits, spec: ModelSpec) -> None:
    """Compare one file with the Keras model.

    Raises:
        ParityError: the shape differs, a value is not finite, or a difference exceeds the spec's tolerance.
    """
    name, logits = f"{found.entry.name} on {found.runtime.value}", found.logits
    if logits.shape != reference.shape:
        raise ParityError(f"{name}: logits of shape {logits.shape}, the source model gives {reference.shape}.")
    if not np.isfinite(logits).all():
        raise ParityError(f"{name}: {int((~np.isfinite(logits)).sum())} of {logits.size} logits are not finite.")
    limit = spec.tolerance
    if found.entry.precision is Precision.FLOAT32:
        difference = np.abs(logits - reference) / np.maximum(1.0, np.abs(reference))
        found_difference = float(difference.max())
        _check_limit(name, "relative |Δ logit|", found_difference, limit.float32_logit_max, _float32_remedy)
        return
    remedy = _float16_remedy if found.entry.precision is Precision.FLOAT16 else _int8_remedy
    scores = np.abs(positive_scores(logits, spec) - positive_scores(reference, spec))
    _check_limit(name, "mean |Δ score|", float(scores.mean()), limit.int8_score_mean, remedy)
    flips, allowed = _flips(decisions(logits, spec), decisions(reference, spec)), allowed_flips(len(logits), spec)
    _check_limit(name, "number of flipped decisions", flips, allowed, remedy)


def _check_limit(name: str, what: str, found: float, limit: float, remedy: Callable[[float], str]) -> None:
    if not found <= limit:
        raise ParityError(
            f"{name}: found a {what} of {found:.6g}, expected {limit:.6g} at most. Nothing was written. {remedy(found)}"
        )


def _int8_remedy(_: float) -> str:
    return "Add calibration images."


def _float16_remedy(_: float) -> str:
    return "Leave out --float16: this network needs more digits, and no device needs the file."


def _float32_remedy(found: float) -> str:
    """A conversion fault changes logits by much more than rounding in another order does."""
    if found <= LARGEST_ROUNDING:
        return (
            "So small a difference is rounding in another order, which this network enlarges, as a normalisation of "
            f"nearly constant values does. If {_above(found):g} in a logit does no harm, set "
            "tolerance.float32_logit_max in the spec to it."
        )
    return "That is more than rounding: a layer is converted wrongly. Replace the newest or rarest layer and try again."


def _above(found: float) -> float:
    """Return the smallest number with one digit that is not below ``found``."""
    unit = 10.0 ** math.floor(math.log10(found))
    return float(f"{math.ceil(found / unit) * unit:.0e}")


def guard_band(pairs: Sequence[tuple[Logits, Logits]], spec: ModelSpec) -> float:
    """Return the guard band: the distance to a threshold within which the float32 file decides.

    It contains every parity image on which a rounded file and its float32 file decide differently. It is at least the
    :data:`USUAL` quantile of each file's error, so that it is not zero if few images show no difference.

    Args:
        pairs: (rounded, float32) logits of the same images, float32 N×outputs; one pair per int8 or float16 file.

    Returns:
        Distance of the score to the nearest threshold, 0..1.
    """
    if not pairs:  # nothing is rounded
        return 0.0
    band = 0.0
    for int8, float32 in pairs:
        error = np.abs(_compared_values(int8, spec) - _compared_values(float32, spec)).max(axis=1)
        differ = np.array([a is not b for a, b in zip(decisions(int8, spec), decisions(float32, spec), strict=True)])
        band = max(band, float(np.quantile(error, USUAL)), *margins(int8, spec)[differ].tolist())
    return round(band + 5e-7, 6)


def exceptions(images: int) -> float:
    """Return the upper 95 % confidence bound on the share of images outside the guard band with a decision flip.

    The guard band contains every flip among ``images`` images. For n independent images, the share p of images with a
    flip beyond the farthest observed one satisfies (1 - p)^n >= 0.05 with 95 % confidence, for any distribution
    (Wilks 1941, Determination of Sample Sizes for Setting Tolerance Limits, Ann Math Stat 12:91). Several images of
    one patient are not independent and count as fewer.
    """
    return _four_digits(np.float64(1.0 - 0.05 ** (1.0 / images)))


def _compared_values(logits: Logits, spec: ModelSpec) -> npt.NDArray[np.float64]:
    """Return the values that the policy compares with thresholds: positive score and confidence, float64 N×2."""
    return np.stack([positive_scores(logits, spec), scores_of(logits, spec).max(axis=1)], axis=1)


def measure(found: FileLogits, float32: Logits, reference: Logits, spec: ModelSpec, band: float) -> Parity:
    """Return the parity figures of one file for the manifest.

    Args:
        float32: logits of the float32 file of the same format, which decides within the guard band.
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
        logit_max=_four_digits(delta.max()),
        logit_mean=_four_digits(delta.mean()),
        score_max=_four_digits(score.max()),
        score_mean=_four_digits(score.mean()),
        flips=_flips(decisions(found.logits, spec), truth),
        flips_guarded=_flips(decisions(guarded, spec), truth),
        reruns=int(rerun.sum()),
    )


def _flips(ours: list[Decision], theirs: list[Decision]) -> int:
    return sum(a is not b for a, b in zip(ours, theirs, strict=True))


def _four_digits(value: np.floating) -> float:
    return float(f"{float(value):.4g}")
