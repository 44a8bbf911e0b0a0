"""Case rule on one part of the data: the rule, its origin, and its metrics."""

from __future__ import annotations

from dataclasses import dataclass

from edge_runtime.bundle.policy import CaseRule
from training.data.splits import Part
from training.errors import DatasetError
from training.evaluation.artifact_runner import ALL, OpenArtifact
from training.metrics.classwise import ClassOutcomes
from training.policy.cases import CaseEvaluation, evaluate_cases, fit_rule, patch_counts

FEW = 5
"""Smallest number of patients of each class for a well-determined rule: one of 5 patients changes a share by 0.2."""


@dataclass(frozen=True)
class ChosenRule:
    """A rule and its origin.

    Attributes:
        rule: None where there is no rule.
        basis: one sentence for the report: the origin of the rule, or the reason why there is none.
    """

    rule: CaseRule | None
    basis: str


@dataclass(frozen=True)
class CaseReport:
    """Metrics of a rule on one part.

    Attributes:
        evaluation: None where there is no rule.
        basis: sentences for the report: the origin of the rule, or the reason why there is none.
    """

    evaluation: CaseEvaluation | None
    basis: str


def choose_rule(opened: OpenArtifact, validation: ClassOutcomes | None = None) -> ChosenRule:
    """Return the rule of the spec's policy; if it has none, a rule fitted on the validation patients.

    Args:
        validation: predictions on validation patients; None computes them.
    """
    rule = opened.spec.policy.case
    if rule is not None:
        return ChosenRule(rule, "The rule is part of the model's decision policy.")
    if validation is None:
        samples = opened.present(Part.VALIDATION)
        if not samples:
            return ChosenRule(
                None, "No rule: the decision policy holds none, and no validation patient is among the data."
            )
        validation = opened.answer(samples, Part.VALIDATION.value).outcome
    return fitted_rule(validation)


def fitted_rule(validation: ClassOutcomes) -> ChosenRule:
    """Fit a rule on validation patients; where that fails, return the reason as the basis."""
    try:
        rule = fit_rule(validation)
    except DatasetError as error:
        return ChosenRule(None, f"No rule: {error}")
    truth = patch_counts(validation, 0.0).truth
    positives, negatives = int(truth.sum()), int((~truth).sum())
    few = f" Fewer than {FEW} of either kind determine a rule badly." if min(positives, negatives) < FEW else ""
    return ChosenRule(
        rule,
        f"The rule was fitted on {positives} positive and {negatives} negative validation patients: sensitivity + "
        f"specificity is as large there as it can be.{few}",
    )


def report_cases(outcome: ClassOutcomes, chosen: ChosenRule, part: str) -> CaseReport:
    """Return the metrics of the rule on a part, with a warning where they are biased in its favour."""
    if chosen.rule is None:
        return CaseReport(None, chosen.basis)
    warning = {
        Part.VALIDATION.value: " These are the patients on whom such choices are made: the figures flatter the rule.",
        ALL: " Patients on whom the model was fitted or the rule chosen, if any are in the data, flatter the figures.",
    }.get(part, "")
    return CaseReport(evaluate_cases(outcome, chosen.rule), chosen.basis + warning)


def rule_text(rule: CaseRule, side: str) -> str:
    """Return the rule in words; ``side`` is the name of the positive side."""
    return (
        f"a patient is positive when {rule.count} or more patches are called {side} "
        f"with a confidence of {rule.confidence:g} or more"
    )
