"""Carry a threshold or a guard band of one temperature over to another, so that the same images are near it.

Thresholds and guard bands are scores (0..1), but rounding errors of int8 are errors of logits. A site policy with
another temperature or another cut-off therefore needs another band (docs/explanation/decision-policy.md).
"""

from __future__ import annotations

from math import exp, log, log1p

from edge_runtime.bundle.policy import DecisionPolicy, Head


def carried_threshold(threshold: float, before: float, after: float) -> float:
    """Return the confidence at temperature ``after`` of an image that has ``threshold`` at temperature ``before``.

    It is exact for two labels and for independent sigmoids. With more labels of a softmax it is an approximation,
    because their confidence depends on more than one difference of logits.

    Args:
        threshold: confidence, 0..1; 0 and 1 stay as they are.
        before: temperature, more than 0.
        after: temperature, more than 0.
    """
    if before == after or not 0.0 < threshold < 1.0:
        return threshold
    return _sigmoid(_logit(threshold) * before / after)


def carried_band(band: float, head: Head, before: DecisionPolicy, after: DecisionPolicy) -> float:
    """Return the guard band for the thresholds of ``after`` that covers the same errors of logits.

    The band of a bundle was measured at the thresholds of ``before``. There it covers an error of the logits that
    follows from the inverse of the sigmoid. The result covers the largest such error at every threshold of ``after``.
    It is never narrower than ``band``: a wider band costs time, a narrower one could flip decisions.

    Args:
        band: guard band of the bundle, 0..1; 0 stays 0.
        head: of the model. With ``probabilities`` the scores themselves are rounded, so the band stays.
        before: the bundle's policy.
        after: the site's policy.
    """
    if band <= 0.0 or head is Head.PROBABILITIES or _values(before) == _values(after):
        return band
    covered = [
        abs(_logit(other) - _logit(threshold)) * before.temperature
        for threshold in _thresholds(before)
        for other in (threshold - band, threshold + band)
        if 0.0 < other < 1.0
    ]
    error = max(covered, default=4.0 * band * before.temperature)  # 1/4 is the largest slope of the sigmoid
    reached = (
        abs(_sigmoid(_logit(threshold) + side * error / after.temperature) - threshold)
        for threshold in _thresholds(after)
        for side in (-1.0, 1.0)
    )
    return min(1.0, max((band, *reached)))


def _values(policy: DecisionPolicy) -> tuple[float, float, float]:
    return policy.cutoff, policy.confidence_floor, policy.temperature


def _thresholds(policy: DecisionPolicy) -> list[float]:
    """Return the thresholds that a score can lie on both sides of."""
    return [threshold for threshold in (policy.cutoff, policy.confidence_floor) if 0.0 < threshold < 1.0]


def _logit(share: float) -> float:
    return log(share) - log1p(-share)


def _sigmoid(z: float) -> float:
    return 1.0 / (1.0 + exp(-z)) if z >= 0 else exp(z) / (1.0 + exp(z))
