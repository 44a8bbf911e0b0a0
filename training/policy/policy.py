"""Fits a decision policy on validation patients: temperature, cut-off, confidence floor and case rule, in that order.

Each step uses the results of the steps before it. Thresholds are chosen on the scores after temperature scaling. The
floor counts the errors at the chosen cut-off. The case rule counts the patches that cut-off and floor leave answered.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from edge_runtime.bundle.policy import CaseRule, DecisionPolicy
from training.errors import DatasetError
from training.metrics.binary import rates
from training.metrics.classwise import ClassOutcomes
from training.metrics.confidence import (
    cutoff_for_sensitivity,
    cutoff_youden,
    expected_calibration_error,
    fit_temperature,
)
from training.policy.cases import evaluate_cases, fit_rule
from training.policy.selective_prediction import confidence_floor, lowest_max_error


@dataclass(frozen=True)
class PolicyTarget:
    """Requirements for a policy. By default only the temperature is fitted and all else is kept.

    Attributes:
        sensitivity: sensitivity on images (0..1] that the cut-off must reach, at the best specificity. A case rule
            must reach the same sensitivity on patients.
        youden: choose the cut-off with the largest sensitivity + specificity instead. A case rule is always chosen
            like this where no sensitivity is given.
        max_error: tolerated share of wrong decisions among answered images, between 0 and 1; None keeps the floor.
        delta: tolerated probability that the error exceeds ``max_error``, between 0 and 1.
        case: fit a case rule, replacing an existing one.

    Raises:
        ValueError: a value is out of its range, or both ``sensitivity`` and ``youden`` are given.
    """

    sensitivity: float | None = None
    youden: bool = False
    max_error: float | None = None
    delta: float = 0.05
    case: bool = False

    def __post_init__(self) -> None:
        if self.sensitivity is not None and self.youden:
            raise ValueError("target: found a sensitivity and youden, expected at most one of them.")
        if self.sensitivity is not None and not 0.0 < self.sensitivity <= 1.0:
            raise ValueError(f"target: found sensitivity {self.sensitivity}, expected more than 0 and at most 1.")
        for name, value in (("max_error", self.max_error), ("delta", self.delta)):
            if value is not None and not 0.0 < value < 1.0:
                raise ValueError(f"target: found {name} {value}, expected a number between 0 and 1, ends excluded.")


@dataclass(frozen=True)
class FittedPolicy:
    """A policy, and how it was fitted.

    Attributes:
        basis: sentences for the training record: the patients used for fitting, and the results on them.
    """

    policy: DecisionPolicy
    basis: str


def fit_policy(validation: ClassOutcomes, target: PolicyTarget) -> FittedPolicy:
    """Fit the values that ``target`` requires; the others stay as in the spec's policy.

    Raises:
        DatasetError: no policy meets ``target`` on the validation patients. Where no confidence floor keeps
            ``max_error``, the message gives the lowest rate that some floor keeps.
    """
    outcome, sentences = validation, [_who(validation)]
    for step in (_temperature, _cutoff, _floor, _case):
        policy, sentence = step(outcome, target)
        outcome = outcome.under(policy)
        sentences.append(sentence)
    return FittedPolicy(outcome.spec.policy, " ".join(sentences))


def _who(outcome: ClassOutcomes) -> str:
    patients = len(set(outcome.groups.tolist()))
    return f"Fitted on {len(outcome.labels)} validation images of {patients} patients, on whom all figures here stand."


def _temperature(outcome: ClassOutcomes, _: PolicyTarget) -> tuple[DecisionPolicy, str]:
    """Fit the temperature on the raw logits; the previous temperature has no effect."""
    old = outcome.spec.policy
    policy = replace(old, temperature=fit_temperature(outcome.logits, outcome.labels, outcome.spec))
    before, after = calibration_error(outcome), calibration_error(outcome.under(policy))
    return policy, (
        f"Temperature {policy.temperature:.4g}, of the smallest negative log-likelihood (Guo et al. 2017): expected "
        f"calibration error {before:.4f} before (temperature {old.temperature:.4g}), {after:.4f} after."
    )


def calibration_error(outcome: ClassOutcomes) -> float:
    """Return the expected calibration error of the highest score, 0..1, from 15 bins of equal count."""
    return expected_calibration_error(outcome.confidence, outcome.predicted == outcome.labels)


def _cutoff(outcome: ClassOutcomes, target: PolicyTarget) -> tuple[DecisionPolicy, str]:
    policy, why = outcome.spec.policy, "kept"
    if target.sensitivity is not None:
        cutoff = cutoff_for_sensitivity(outcome.truth, outcome.positive, target.sensitivity)
        policy, why = replace(policy, cutoff=cutoff), f"the highest of sensitivity {target.sensitivity:g} or more"
    elif target.youden:
        cutoff = cutoff_youden(outcome.truth, outcome.positive)
        policy, why = replace(policy, cutoff=cutoff), "of the largest sensitivity + specificity (Youden 1950)"
    found = rates(outcome.truth, outcome.under(policy).called)
    return policy, (
        f"Cut-off {policy.cutoff:.4g}, {why}: sensitivity {found['recall']:.4f}, specificity "
        f"{found['specificity']:.4f} of all images, referred ones included."
    )


def _floor(outcome: ClassOutcomes, target: PolicyTarget) -> tuple[DecisionPolicy, str]:
    """Choose the confidence floor.

    An image is correct when its predicted side is the true one, as in *error among answered* of an evaluation.
    """
    policy, correct = outcome.spec.policy, outcome.called == outcome.truth
    if target.max_error is None:
        answered = float((outcome.confidence >= policy.confidence_floor).mean())
        return (
            policy,
            f"Confidence floor {policy.confidence_floor:g}, kept: {answered:.1%} of the images are answered.",
        )
    found = confidence_floor(outcome.confidence, correct, outcome.groups, target.max_error, target.delta)
    if found.coverage == 0:
        raise _no_floor(lowest_max_error(outcome.confidence, correct, outcome.groups, target.delta), target.max_error)
    return replace(policy, confidence_floor=found.floor), (
        f"Confidence floor {found.floor:g}, for an error among answered images of at most {target.max_error:g}: "
        f"{found.coverage:.1%} are answered, {found.error:.4f} of them wrongly, at most {found.upper:.4f} for new "
        f"patients. {found.method} Not in the bound: temperature and cut-off were chosen on the same patients."
    )


def _no_floor(lowest: float, asked: float) -> DatasetError:
    """Return the error for a target that no floor meets, except by referring every image."""
    rate = math.ceil(lowest * 1000) / 1000
    can = f"the lowest that some floor keeps is {rate:g}" if rate < 1 else "too few patients to bound any rate"
    ask = f"give --max-error {rate:g} or more" if rate < 1 else "leave --max-error out"
    return DatasetError(
        f"confidence floor: found none that keeps the error among answered images at {asked:g} or less on the "
        f"validation patients; {can}. Either {ask}, or assign more patients to validation."
    )


def _case(outcome: ClassOutcomes, target: PolicyTarget) -> tuple[DecisionPolicy, str]:
    rule = outcome.spec.policy.case
    if target.case:
        rule = fit_rule(outcome, target.sensitivity)
    if rule is None:
        return outcome.spec.policy, "No case rule."
    how = "kept" if not target.case else "fitted" if target.sensitivity is None else f"for {target.sensitivity:g}"
    return replace(outcome.spec.policy, case=rule), f"{rule_sentence(rule)} ({how}): {_case_figures(outcome, rule)}."


def rule_sentence(rule: CaseRule) -> str:
    """Return the rule in words, without a full stop."""
    count = "1 image" if rule.count == 1 else f"{rule.count} images"
    return f"A patient is positive from {count} called positive with confidence {rule.confidence:g} or more"


def _case_figures(outcome: ClassOutcomes, rule: CaseRule) -> str:
    """Return the metrics of the rule in words, with counts: a specificity of 1 may be that of a single patient."""
    found = evaluate_cases(outcome, rule)
    shares = ", ".join(f"{figure.name} {figure.text()}" for figure in found.figures if figure.name != "auroc")
    return f"{shares} on {found.positives} positive and {found.patients - found.positives} negative patients"
