"""Temperature, calibration error and cut-offs, from validation patients.

Every choice is made on validation patients only.
The confidence floor is in :mod:`training.policy.selective_prediction`.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize_scalar
from scipy.special import logsumexp

from edge_runtime.bundle.metrics import ReliabilityBin
from edge_runtime.bundle.policy import Head
from edge_runtime.bundle.spec import ModelSpec
from training.errors import DatasetError

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

TEMPERATURES = (0.05, 20.0)
"""Where a temperature is looked for; an optimum at either end means that the logits do not determine one."""


def fit_temperature(logits: npt.ArrayLike, labels: npt.NDArray[np.int64], spec: ModelSpec) -> float:
    """Return the temperature T > 0 for which ``logits / T`` has the smallest negative log-likelihood.

    The likelihood is convex in 1/T for every head, so a bounded search on log T finds the one minimum.

    Args:
        logits: N×outputs of validation images, any float type.
        labels: int64 N, index into the spec's labels.

    Returns:
        T in 0.05..20; 1 where no T improves on it or the best T lies at an end (labels perfectly separated, or
        logits that know nothing).

    Raises:
        DatasetError: no image.
        ValueError: logits that are not finite, or of another shape than labels and spec imply.

    Source: Guo et al. 2017, On Calibration of Modern Neural Networks, ICML, section 4.2.
    """
    z = np.asarray(logits, dtype=np.float64)
    if len(labels) == 0:
        raise DatasetError("temperature: found no validation image, expected at least one; check the split.")
    if z.shape != (len(labels), spec.outputs) or not np.isfinite(z).all():
        raise ValueError(f"logits of shape {z.shape}: expected finite values of shape {(len(labels), spec.outputs)}.")
    low, high = np.log(TEMPERATURES)

    def loss(log_t: float) -> float:
        return negative_log_likelihood(z / np.exp(log_t), labels, spec.head)

    best = float(minimize_scalar(loss, bounds=(low, high), method="bounded", options={"xatol": 1e-6}).x)
    inside = low + 1e-3 < best < high - 1e-3
    return float(np.exp(best)) if inside and loss(best) < loss(0.0) else 1.0


def negative_log_likelihood(logits: Floats, labels: npt.NDArray[np.int64], head: Head) -> float:
    """Return the mean over images (nats): cross-entropy for softmax, summed binary cross-entropy for sigmoids."""
    if head is Head.SOFTMAX:
        return float(np.mean(logsumexp(logits, axis=1) - logits[np.arange(len(labels)), labels]))
    wanted = labels[:, np.newaxis] == (1 if head is Head.SIGMOID else np.arange(logits.shape[1]))
    return float(np.logaddexp(0.0, np.where(wanted, -logits, logits)).sum(axis=1).mean())


def reliability(confidence: Floats, correct: Bools, bins: int = 15) -> tuple[ReliabilityBin, ...]:
    """Return at most ``bins`` bins of about equal count, by rising confidence; equal confidences share a bin.

    Equal counts, not equal widths: a network puts most images next to 1, and a nearly empty bin says
    nothing (Nixon et al. 2019, Measuring Calibration in Deep Learning, CVPR workshops).

    Args:
        confidence: float64 N, 0..1.
        correct: bool N.
    """
    if len(confidence) == 0 or len(confidence) != len(correct) or bins < 1:
        raise ValueError(
            f"{len(confidence)} confidences, {len(correct)} answers, {bins} bins: expected N, N, 1 or more."
        )
    starts = [part[0] for part in np.array_split(np.sort(confidence), bins) if len(part)]
    index = np.searchsorted(np.unique(starts)[1:], confidence, side="right")
    rows = [(confidence[index == i], correct[index == i]) for i in np.unique(index)]
    return tuple(
        ReliabilityBin(float(c.min()), float(c.max()), float(c.mean()), float(a.mean()), len(c)) for c, a in rows
    )


def expected_calibration_error(confidence: Floats, correct: Bools, bins: int = 15) -> float:
    """Return the mean |confidence − accuracy| over bins, weighted by count, 0..1; biased upwards for few images.

    Source: Naeini et al. 2015, Obtaining Well Calibrated Probabilities Using Bayesian Binning, AAAI.
    """
    rows = reliability(confidence, correct, bins)
    return sum(row.count * abs(row.confidence - row.accuracy) for row in rows) / len(confidence)


def cutoff_for_sensitivity(truth: Bools, score: Floats, at_least: float) -> float:
    """Return the highest cut-off at which ``score >= cutoff`` finds a share ``at_least`` (0..1] of the positives.

    It lies half-way to the next lower score, so that rounding on another machine loses no image.

    Raises:
        DatasetError: no positive image.
    """
    _check_scores(truth, score)
    if not 0.0 < at_least <= 1.0:
        raise ValueError(f"sensitivity {at_least}: expected more than 0 and at most 1.")
    found = np.sort(score[truth])[::-1]
    return _below(score, float(found[int(np.ceil(at_least * len(found) - 1e-9)) - 1]))


def cutoff_youden(truth: Bools, score: Floats) -> float:
    """Return the cut-off with the largest sensitivity + specificity − 1; of equals the lowest.

    Source: Youden 1950, Index for rating diagnostic tests, Cancer 3:32.

    Raises:
        DatasetError: one class is missing, or no cut-off does better than chance.
    """
    _check_scores(truth, score)
    if truth.all():
        raise DatasetError("cut-off: found no negative image, expected both classes; check the validation split.")
    values = np.unique(score)
    sensitivity = 1 - np.searchsorted(np.sort(score[truth]), values) / truth.sum()
    false_alarms = 1 - np.searchsorted(np.sort(score[~truth]), values) / (~truth).sum()
    index = sensitivity - false_alarms
    if index.max() <= 1e-12:
        raise DatasetError("cut-off: positives score no higher than negatives; the network has learned nothing.")
    return _below(score, float(values[np.flatnonzero(index >= index.max() - 1e-12)[0]]))


def _check_scores(truth: Bools, score: Floats) -> None:
    if truth.shape != score.shape or not np.isfinite(score).all():
        raise ValueError(f"{score.shape} scores for {truth.shape} labels: expected as many, all finite.")
    if not truth.any():
        raise DatasetError("cut-off: found no positive image, expected some; check the validation split.")


def _below(score: Floats, value: float) -> float:
    lower = score[score < value]
    middle = (value + float(lower.max())) / 2 if len(lower) else value
    return middle if len(lower) and middle > lower.max() else value
