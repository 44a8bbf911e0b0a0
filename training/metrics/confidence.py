"""Temperature, calibration error and cut-offs.

The temperature and the cut-offs are chosen on validation patients. Test patients must not be used to choose them.
The confidence floor is chosen in :mod:`training.policy.selective_prediction`.
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
"""Range of the temperature search. An optimum at either end means that the logits do not determine a temperature."""


def fit_temperature(logits: npt.ArrayLike, labels: npt.NDArray[np.int64], spec: ModelSpec) -> float:
    """Return the temperature T > 0 for which ``logits / T`` has the smallest negative log-likelihood.

    The negative log-likelihood is convex in 1/T for every head. A bounded search on log T finds the only minimum.

    Args:
        logits: N×outputs of validation images, any float type.
        labels: int64 N, index into the spec's labels.

    Returns:
        T in 0.05..20; 1 where no other T is better or the best T lies at an end of the range. It lies at an end
        where the labels are perfectly separated or the logits carry no information.

    Raises:
        DatasetError: there is no image.
        ValueError: the logits are not finite, or their shape does not match labels and spec.

    Source: Guo et al. 2017, On Calibration of Modern Neural Networks, ICML, section 4.2.
    """
    z = np.asarray(logits, dtype=np.float64)
    if len(labels) == 0:
        raise DatasetError("temperature: found no validation image, expected at least one. Check the split.")
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
    target = labels[:, np.newaxis] == (1 if head is Head.SIGMOID else np.arange(logits.shape[1]))
    return float(np.logaddexp(0.0, np.where(target, -logits, logits)).sum(axis=1).mean())


def reliability(confidence: Floats, correct: Bools, bins: int = 15) -> tuple[ReliabilityBin, ...]:
    """Return at most ``bins`` bins of about equal count, by rising confidence; equal confidences share a bin.

    Bins have equal counts, not equal widths. Most confidences of a network are near 1, and a bin with few images
    gives no reliable accuracy (Nixon et al. 2019, Measuring Calibration in Deep Learning, CVPR workshops).

    Args:
        confidence: float64 N, 0..1.
        correct: bool N.

    Raises:
        ValueError: there is no image, the lengths differ, or ``bins`` is under 1.
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
    """Return the mean of |confidence − accuracy| over bins, weighted by count, 0..1.

    The value is biased upwards for few images.

    Source: Naeini et al. 2015, Obtaining Well Calibrated Probabilities Using Bayesian Binning, AAAI.
    """
    rows = reliability(confidence, correct, bins)
    return sum(row.count * abs(row.confidence - row.accuracy) for row in rows) / len(confidence)


def cutoff_for_sensitivity(truth: Bools, score: Floats, at_least: float) -> float:
    """Return the highest cut-off for which ``score >= cutoff`` has a sensitivity of ``at_least`` (0..1].

    It lies half-way to the next lower score, so that rounding on another machine does not lose an image.

    Raises:
        DatasetError: there is no positive image.
        ValueError: ``at_least`` is out of its range, or scores and labels do not match.
    """
    _check_scores(truth, score)
    if not 0.0 < at_least <= 1.0:
        raise ValueError(f"sensitivity {at_least}: expected more than 0 and at most 1.")
    found = np.sort(score[truth])[::-1]
    return _below(score, float(found[int(np.ceil(at_least * len(found) - 1e-9)) - 1]))


def cutoff_youden(truth: Bools, score: Floats) -> float:
    """Return the cut-off with the largest sensitivity + specificity − 1.

    Of several equally good cut-offs it is the lowest, which is the most sensitive.

    Source: Youden 1950, Index for rating diagnostic tests, Cancer 3:32.

    Raises:
        DatasetError: one class is missing, or no cut-off is better than chance.
    """
    _check_scores(truth, score)
    if truth.all():
        raise DatasetError("cut-off: found no negative image, expected both classes. Check the validation split.")
    values = np.unique(score)
    sensitivity = 1 - np.searchsorted(np.sort(score[truth]), values) / truth.sum()
    false_alarms = 1 - np.searchsorted(np.sort(score[~truth]), values) / (~truth).sum()
    index = sensitivity - false_alarms
    if index.max() <= 1e-12:
        raise DatasetError(
            "cut-off: found positive images that score no higher than negative ones, expected some cut-off better "
            "than chance. Train the network again."
        )
    return _below(score, float(values[np.flatnonzero(index >= index.max() - 1e-12)[0]]))


def _check_scores(truth: Bools, score: Floats) -> None:
    if truth.shape != score.shape or not np.isfinite(score).all():
        raise ValueError(f"found {score.shape} scores for {truth.shape} labels, expected equal shapes, all finite.")
    if not truth.any():
        raise DatasetError("cut-off: found no positive image, expected at least one. Check the validation split.")


def _below(score: Floats, value: float) -> float:
    """Return the middle between ``value`` and the next lower score; ``value`` where there is none."""
    lower = score[score < value]
    middle = (value + float(lower.max())) / 2 if len(lower) else value
    return middle if len(lower) and middle > lower.max() else value
