"""Fit temperature, confidence floor and cut-off on the cases of a site, in this order, with NumPy alone.

Training fits the same numbers on images of validation patients (``training.policy``). Here the case is the unit,
because a site's images of one patient are not independent, and its labels are of patients.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from math import exp, log

import numpy as np

from edge_runtime.assurance.binomial import upper_bound
from edge_runtime.assurance.calibration.case_scores import (
    NOTHING,
    Bools,
    CaseAnswers,
    DecidingScores,
    Floats,
    deciding_scores,
    nth_highest,
    right,
)
from edge_runtime.assurance.calibration.target import SiteTarget
from edge_runtime.assurance.outcome import Found
from edge_runtime.bundle.policy import DecisionPolicy, Head
from edge_runtime.decision.rescaling import carried_threshold
from edge_runtime.decision.scores import positive_scores
from edge_runtime.errors import CalibrationError

TEMPERATURES = (0.05, 20.0)
"""Range of the temperature. An optimum at either end means that the cases do not determine one; it is kept then."""
FLOORS = (
    *(0.9999, 0.9995, 0.999, 0.998, 0.995, 0.99, 0.985, 0.98, 0.97, 0.96, 0.95, 0.94, 0.92, 0.9, 0.88, 0.85, 0.82),
    *(0.8, 0.78, 0.75, 0.72, 0.7, 0.68, 0.65, 0.62, 0.6, 0.58, 0.55, 0.52, 0.5, 0.45, 0.4, 0.35, 0.3, 0.25, 0.2, 0.0),
)
"""Confidence floors in the order of testing, the same as in training; fixed before any case is read."""
_START = 0.4
"""Share of decided cases at which the descent over the floors starts."""
_CONFIDENCE = 0.95
_EDGE = 1e-12
_GOLDEN = (5**0.5 - 1) / 2


def fit(answers: CaseAnswers, target: SiteTarget) -> DecisionPolicy:
    """Return the bundle's policy with the thresholds that meet ``target`` on these cases.

    Raises:
        CalibrationError: no thresholds meet the target (``calibration_target``).
    """
    before = answers.spec.policy
    temperature = fit_temperature(answers)
    policy = replace(
        before,
        temperature=temperature,
        confidence_floor=carried_threshold(before.confidence_floor, before.temperature, temperature),
        case=None
        if before.case is None
        else replace(
            before.case, confidence=carried_threshold(before.case.confidence, before.temperature, temperature)
        ),
    )
    policy = replace(policy, cutoff=fit_cutoff(deciding_scores(answers, policy), answers.positive, target))
    return policy if target.max_error is None else _with_floor(answers, policy, target.max_error)


def fit_temperature(answers: CaseAnswers) -> float:
    """Return the temperature with the smallest negative log-likelihood of the cases (Guo et al. 2017).

    The score of a case is that of the image that decides it; unfamiliar images have none. The search is by golden
    section over the logarithm.

    Returns:
        The temperature; that of the bundle if no other is better, the optimum lies at an end of :data:`TEMPERATURES`,
        or the model's outputs are probabilities.
    """
    old = answers.spec.policy.temperature
    if answers.spec.head is Head.PROBABILITIES:
        return old

    def loss(log_t: float) -> float:
        return log_loss(answers, replace(answers.spec.policy, temperature=exp(log_t)))

    low, high = map(log, TEMPERATURES)
    best = _minimum(loss, low, high)
    inside = low + 1e-3 < best < high - 1e-3
    return exp(best) if inside and loss(best) < loss(log(old)) - 1e-9 else old


def log_loss(answers: CaseAnswers, policy: DecisionPolicy) -> float:
    """Return the mean negative log-likelihood (nats) of the cases that have a familiar image; 0 if there is none."""
    score = _scores(answers, policy)
    known = score != NOTHING
    if not known.any():
        return 0.0
    clipped = np.clip(score[known], _EDGE, 1.0 - _EDGE)
    return float(-np.log(np.where(answers.positive[known], clipped, 1.0 - clipped)).mean())


def _scores(answers: CaseAnswers, policy: DecisionPolicy) -> Floats:
    """Return the score of each case from its familiar images, whatever their confidence."""
    score = positive_scores(answers.logits, replace(answers.spec, policy=policy))
    needed = 1 if policy.case is None else policy.case.count
    return nth_highest(score[answers.familiar], answers.case[answers.familiar], len(answers), needed)


def fit_cutoff(scores: DecidingScores, positive: Bools, target: SiteTarget) -> float:
    """Return the cut-off that meets the target.

    It lies half-way between two scores, so that rounding on another machine does not lose a case. Of several cut-offs
    with the largest sensitivity + specificity, it is the lowest.

    Raises:
        CalibrationError: ``calibration_target``: the sensitivity cannot be reached, because too many positive cases are
            referred or failed.
    """
    values = np.unique(scores.score[scores.score != NOTHING])
    sensitivity, specificity = _rates(scores, positive, target, values)
    if target.sensitivity is not None:
        reached = np.flatnonzero(sensitivity >= target.sensitivity - 1e-9)
        if len(reached) == 0:
            most = float(sensitivity.max(initial=0.0))
            raise CalibrationError(
                f"Found no cut-off with a sensitivity of {target.sensitivity:g} on these cases; the highest is "
                f"{most:.3f}, because the other positive cases are referred or failed. Ask for less, or count referred "
                "cases as positive (--referred positive).",
                code="calibration_target",
            )
        return _below(values, int(reached[-1]))
    index = sensitivity + specificity
    if len(index) == 0 or index.max() <= 1.0 + 1e-12:
        raise CalibrationError(
            "Found positive cases that score no higher than negative ones, expected some cut-off better than chance. "
            "Check the labels; no cut-off can repair a ranking.",
            code="calibration_target",
        )
    return _below(values, int(np.flatnonzero(index >= index.max() - 1e-12)[0]))


def _rates(scores: DecidingScores, positive: Bools, target: SiteTarget, values: Floats) -> tuple[Floats, Floats]:
    """Return sensitivity and specificity of the cases at each of the rising cut-offs ``values``."""
    always = right(scores.below, positive, target.referred, target.failed)
    sick, well = scores.score[positive], scores.score[~positive]
    missed = np.searchsorted(np.sort(sick[~always[positive]]), values)
    cleared = np.searchsorted(np.sort(well[always[~positive]]), values)
    return 1.0 - missed / max(1, len(sick)), cleared / max(1, len(well))


def _with_floor(answers: CaseAnswers, policy: DecisionPolicy, max_error: float) -> DecisionPolicy:
    """Return the policy with the lowest floor that keeps the error among decided cases.

    Floors are tested from the highest downwards until the first one fails (fixed sequence testing: Angelopoulos et al.
    2021, arXiv:2110.01052), with the exact upper bound of Clopper and Pearson.
    """
    best: float | None = None
    for floor in FLOORS:
        found = deciding_scores(answers, replace(policy, confidence_floor=floor)).found(policy.cutoff)
        decided = (found == Found.POSITIVE) | (found == Found.NEGATIVE)
        if decided.mean() < _START:
            continue
        wrong = int(((found == Found.POSITIVE) != answers.positive)[decided].sum())
        if upper_bound(wrong, int(decided.sum()), _CONFIDENCE) > max_error:
            break
        best = floor
    if best is None:
        raise CalibrationError(
            f"Found no confidence floor that keeps the error among decided cases at {max_error:g} or less, with a "
            f"confidence of {_CONFIDENCE:g}. Ask for more, collect more cases, or leave --max-error out.",
            code="calibration_target",
        )
    return replace(policy, confidence_floor=best)


def _below(values: Floats, index: int) -> float:
    """Return the middle between a value and the one before it; half of it if it is the lowest."""
    value, lower = float(values[index]), float(values[index - 1]) if index else 0.0
    middle = (value + lower) / 2
    return middle if middle > lower else value


def _minimum(function: Callable[[float], float], low: float, high: float) -> float:
    """Return where a function of one minimum is smallest, to 1e-6."""
    left, right_ = high - _GOLDEN * (high - low), low + _GOLDEN * (high - low)
    at_left, at_right = function(left), function(right_)
    while high - low > 1e-6:
        if at_left <= at_right:
            high, right_, at_right = right_, left, at_left
            left = high - _GOLDEN * (high - low)
            at_left = function(left)
        else:
            low, left, at_left = left, right_, at_right
            right_ = low + _GOLDEN * (high - low)
            at_right = function(right_)
    return (low + high) / 2
