"""Case rule: decides a patient from the predictions on their patches, as system 4 does.

Patches of low confidence are ignored. A patient is positive when several patches are predicted malignant with high
confidence. A patient is truly positive when any of their patches in the data is malignant. Counting and deciding use
the functions of the device (:mod:`edge_runtime.decision.case`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.stats import beta

from edge_runtime.bundle.manifest import Figure
from edge_runtime.bundle.policy import CaseRule
from edge_runtime.decision.case import CaseVerdict, decide_case, sure
from edge_runtime.decision.verdict import Decision
from training.errors import DatasetError
from training.metrics.binary import auroc, rates
from training.metrics.classwise import ClassOutcomes
from training.metrics.confidence import cutoff_for_sensitivity, cutoff_youden
from training.metrics.evaluation import bootstrap

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

CONFIDENCES = (0.80, 0.95, 0.99, 0.999)
"""The confidences that system 4 publishes. A fitted rule has one of them."""

_KINDS = (Decision.POSITIVE, Decision.NEGATIVE, Decision.REFER)


@dataclass(frozen=True, eq=False)
class Patients:
    """Patch counts of G patients, sorted by name.

    Attributes:
        names: str G.
        truth: bool G, whether any patch is malignant.
        counts: int64 G, patches predicted positive with the required confidence.
        answered: int64 G, patches predicted positive or negative with that confidence.
    """

    names: npt.NDArray[np.str_]
    truth: Bools
    counts: npt.NDArray[np.int64]
    answered: npt.NDArray[np.int64]


@dataclass(frozen=True)
class CaseEvaluation:
    """Metrics of a rule; undefined ones are left out.

    Attributes:
        figures: sensitivity (POSITIVE among positive patients), specificity (NEGATIVE among negative patients; a
            referred patient does not count as NEGATIVE), answered (share not referred), auroc (of the count).
    """

    rule: CaseRule
    patients: int
    positives: int
    figures: tuple[Figure, ...]


def patch_counts(outcome: ClassOutcomes, confidence: float) -> Patients:
    """Count the patches of each patient that are predicted positive with ``confidence`` (0..1) or more."""
    names, index = np.unique(outcome.groups, return_inverse=True)
    answered, positive = sure(outcome.decisions, outcome.confidence, confidence)
    malignant, counts, either = (
        np.bincount(index, weights=mask, minlength=len(names)).astype(np.int64)
        for mask in (outcome.truth, positive, answered)
    )
    return Patients(names, malignant > 0, counts, either)


def apply_rule(outcome: ClassOutcomes, rule: CaseRule) -> Bools:
    """Return whether each patient is POSITIVE, bool G, in the order of :func:`patch_counts`."""
    return patch_counts(outcome, rule.confidence).counts >= rule.count


def decide_patients(outcome: ClassOutcomes, rule: CaseRule) -> tuple[CaseVerdict, ...]:
    """Return the verdict on each patient, as on the device, in the order of :func:`patch_counts`."""
    found, confidence = outcome.decisions, outcome.confidence
    rows = [np.flatnonzero(outcome.groups == name) for name in np.unique(outcome.groups)]
    return tuple(decide_case([found[i] for i in row], confidence[row], rule) for row in rows)


def fit_rule(outcome: ClassOutcomes, sensitivity: float | None = None) -> CaseRule:
    """Return the best rule on validation patients: a confidence of :data:`CONFIDENCES`, and a count.

    Args:
        sensitivity: the sensitivity (0..1] that the rule must reach, at the best specificity. None maximises
            sensitivity + specificity (Youden 1950). Of equally good rules, the one with the higher confidence is
            returned.

    Raises:
        DatasetError: a class of patients is missing, or no rule meets the requirement.
    """
    truth = patch_counts(outcome, 0.0).truth
    if truth.all() or not truth.any():
        raise DatasetError(
            f"case rule: found {int(truth.sum())} positive among {len(truth)} validation patients, expected both "
            "kinds; deal more patients to validation."
        )
    rules = [rule for c in CONFIDENCES if (rule := _rule_at(outcome, c, sensitivity))]
    if not rules:
        raise DatasetError("case rule: no confidence and count does what is asked; ask for less, or train longer.")
    return max(rules, key=lambda rule: (_gain(truth, apply_rule(outcome, rule)), rule.confidence))


def _rule_at(outcome: ClassOutcomes, confidence: float, sensitivity: float | None) -> CaseRule | None:
    found = patch_counts(outcome, confidence)
    score = found.counts.astype(np.float64)
    try:
        cutoff = (
            cutoff_youden(found.truth, score)
            if sensitivity is None
            else cutoff_for_sensitivity(found.truth, score, sensitivity)
        )
    except DatasetError:  # no usable cut-off at this confidence; another confidence may have one
        return None
    return CaseRule(confidence, math.ceil(cutoff)) if cutoff > 0 else None


def _gain(truth: Bools, called: Bools) -> float:
    return rates(truth, called)["balanced accuracy"]


def evaluate_cases(outcome: ClassOutcomes, rule: CaseRule) -> CaseEvaluation:
    """Return the metrics of a rule on held-out patients.

    Patients are independent, so shares have exact intervals (Clopper & Pearson 1934). A bootstrap would not do: for
    2 of 2 negative patients its interval has zero width. The interval of the area under the curve of the count is by
    bootstrap over patients.
    """
    found = patch_counts(outcome, rule.confidence)
    truth, decided = found.truth, [verdict.decision for verdict in decide_patients(outcome, rule)]
    called, cleared, referred = (np.array([d is kind for d in decided]) for kind in _KINDS)

    def measure(rows: npt.NDArray[np.intp]) -> dict[str, float]:
        return {"auroc": auroc(truth[rows], found.counts[rows].astype(np.float64))}

    shares = [("sensitivity", called[truth]), ("specificity", cleared[~truth]), ("answered", ~referred)]
    figures = [exact(name, int(right.sum()), len(right)) for name, right in shares if len(right)]
    return CaseEvaluation(rule, len(truth), int(truth.sum()), (*figures, *bootstrap(measure, found.names)))


def exact(name: str, right: int, count: int) -> Figure:
    """Return a share of independent cases with its 95 % Clopper–Pearson interval."""
    low = float(beta.ppf(0.025, right, count - right + 1)) if right else 0.0
    high = float(beta.ppf(0.975, right + 1, count - right)) if right < count else 1.0
    return Figure(name, round(right / count, 4), round(low, 4), round(high, 4))
