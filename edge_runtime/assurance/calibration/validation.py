"""Show whether fitted thresholds help: cross-validation over cases, figures before and after, and a criterion.

The whole fit is repeated for each fold on the other folds, and decides the cases of the fold. So no case is decided by
thresholds that it helped to choose. Nothing else is chosen by these figures.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edge_runtime.assurance.calibration.case_scores import Bools, CaseAnswers, deciding_scores, right
from edge_runtime.assurance.calibration.comparison import (
    balanced_change,
    balanced_sign_test,
    margin_over_chance,
    share_change,
    sign_test,
)
from edge_runtime.assurance.calibration.fitting import fit
from edge_runtime.assurance.calibration.target import SiteTarget
from edge_runtime.assurance.outcome import Found
from edge_runtime.bundle.policy import DecisionPolicy
from edge_runtime.bundle.site_policy import Change, Validation
from edge_runtime.errors import CalibrationError

FOLDS = 10
LEVEL = 0.025
"""Largest one-sided p-value of what is shown. Where two things may be shown, each has half of it."""
TOLERATED = 0.05
"""Loss of sensitivity (0..1) below the target that a gain in specificity may cost."""

Outcomes = npt.NDArray[np.object_]


@dataclass(frozen=True)
class Evidence:
    """Whether the thresholds of a site help.

    Attributes:
        helps: whether the criterion is met.
        validation: the figures.
        missing: what is not shown, as a sentence; empty if the criterion is met.
    """

    helps: bool
    validation: Validation
    missing: str = ""


def validate(answers: CaseAnswers, names: Sequence[str], target: SiteTarget) -> Evidence:
    """Cross-validate the fit on the cases of a site.

    Args:
        answers: the answers on G cases.
        names: names of the cases; they determine the folds, whatever their order.
        target: what is fitted for.

    Raises:
        CalibrationError: too few cases of a class (``calibration_too_few``), or no thresholds meet the target.
    """
    check_numbers(answers, target)
    before, fold = answers.spec.policy, folds_of(answers.positive, names)
    unfitted = deciding_scores(answers, before).found(before.cutoff)
    fitted, policies = np.empty(len(answers), np.object_), []
    for turn in range(FOLDS):
        policy = fit(answers.only(fold != turn), target)
        policies.append(policy)
        fitted[fold == turn] = deciding_scores(answers.only(fold == turn), policy).found(policy.cutoff)
    return _evidence(answers.positive, unfitted, fitted, policies, target)


def check_numbers(answers: CaseAnswers, target: SiteTarget) -> None:
    """Reject too few cases of either class.

    Raises:
        CalibrationError: ``calibration_too_few``.
    """
    positive = int(answers.positive.sum())
    counts = (
        ("positive", positive, target.least_positive),
        ("negative", len(answers) - positive, target.least_negative),
    )
    for name, found, least in counts:
        if found < least:
            raise CalibrationError(
                f"Found too few {name} cases: {found}, expected {least} or more for this target. Collect more labelled "
                "cases; fewer cannot show that other thresholds help.",
                code="calibration_too_few",
            )


def folds_of(positive: Bools, names: Sequence[str]) -> npt.NDArray[np.intp]:
    """Return the fold of each case, 0..9: each class is dealt out in turn, in the order of the hashes of the names."""
    fold = np.empty(len(names), np.intp)
    for kind in (True, False):
        chosen = np.flatnonzero(positive == kind)
        keys = [hashlib.sha256(names[index].encode("utf-8")).digest() for index in chosen.tolist()]
        order = sorted(range(len(chosen)), key=keys.__getitem__)
        fold[chosen[order]] = np.arange(len(chosen)) % FOLDS
    return fold


def _evidence(
    positive: Bools, unfitted: Outcomes, fitted: Outcomes, policies: list[DecisionPolicy], target: SiteTarget
) -> Evidence:
    before, after = (right(found, positive, target.referred, target.failed) for found in (unfitted, fitted))
    changes = (
        share_change("sensitivity", before[positive], after[positive]),
        share_change("specificity", before[~positive], after[~positive]),
        balanced_change(positive, before, after),
        share_change("decided", _decided(unfitted), _decided(fitted)),
    )
    judge = _judge_youden if target.sensitivity is None else _judge_sensitivity
    criterion, p_value, missing = judge(changes, (positive, before, after), target)
    if not missing and target.max_error is not None:
        missing = _too_many_errors(positive, fitted, target.max_error)
    cutoffs = [policy.cutoff for policy in policies]
    validation = Validation(FOLDS, changes, min(cutoffs), max(cutoffs), criterion, p_value)
    return Evidence(not missing, validation, missing)


def _decided(found: Outcomes) -> Bools:
    return np.asarray((found == Found.POSITIVE) | (found == Found.NEGATIVE), np.bool_)


def _changed(before: Bools, after: Bools) -> tuple[int, int, int]:
    """Return the numbers of cases that were gained, of those that were lost, and of all."""
    return int((~before & after).sum()), int((before & ~after).sum()), len(before)


def _changes_of(positive: Bools, before: Bools, after: Bools) -> tuple[tuple[int, int, int], tuple[int, int, int]]:
    """Return gained, lost and all cases, of the positive and of the negative ones."""
    return _changed(before[positive], after[positive]), _changed(before[~positive], after[~positive])


Judgement = tuple[str, float, str]
"""The criterion, the p-value of its test, and what is missing."""


def _judge_youden(changes: Sequence[Change], cases: tuple[Bools, Bools, Bools], _: SiteTarget) -> Judgement:
    sick, well = _changes_of(*cases)
    p_value, gain = balanced_sign_test(sick, well), changes[2].difference
    criterion = (
        "The balanced accuracy on cases rises: the 95 % interval of the paired difference is above 0, and the exact "
        f"sign-flip test has a one-sided p of {LEVEL:g} or less."
    )
    shown = p_value <= LEVEL and gain.low > 0.0
    return criterion, p_value, "" if shown else f"the balanced accuracy changes by {gain.text()}, p = {p_value:.3f}"


def _judge_sensitivity(changes: Sequence[Change], cases: tuple[Bools, Bools, Bools], target: SiteTarget) -> Judgement:
    """Judge a target sensitivity: the shortfall must shrink, or the specificity must rise at the target."""
    sick, well = _changes_of(*cases)
    wanted, level = target.sensitivity or 0.0, LEVEL / 2
    sensitivity, specificity, balanced = changes[:3]
    rises = sign_test(sick[0], sick[1]), sign_test(well[0], well[1])
    criterion = (
        f"Either the sensitivity, which was below {wanted:g}, rises; or the specificity rises, and the sensitivity "
        f"stays at {wanted:g} or where it was, less {TOLERATED:g} at most. The exact paired test (McNemar) has a "
        f"one-sided p of {level:g} or less. The balanced accuracy is better than chance, and more specificity is kept "
        "than by calling cases positive at random up to the same sensitivity, both with their 95 % intervals."
    )
    nearer = rises[0] <= level and sensitivity.before.value < wanted
    kept = sensitivity.after.value >= min(wanted, sensitivity.before.value) - TOLERATED - 1e-9
    cleaner = rises[1] <= level and kept
    told = (
        f"the sensitivity changes by {sensitivity.difference.text()} (p = {rises[0]:.3f}), the specificity by "
        f"{specificity.difference.text()} (p = {rises[1]:.3f})"
    )
    margin = margin_over_chance(*cases)
    p_value = rises[1] if cleaner and not nearer else rises[0]
    if not (nearer or cleaner):
        return criterion, min(rises), told
    if balanced.after.low <= 0.5:
        return criterion, p_value, f"the balanced accuracy after is {balanced.after.text()}, which may be chance"
    if not cleaner and margin.low <= 0.0:
        why = f"the specificity is higher by {margin.text()} than with cases called positive at random"
        return criterion, p_value, f"{why}, which may be chance"
    return criterion, p_value, ""


def _too_many_errors(positive: Bools, fitted: Outcomes, max_error: float) -> str:
    decided = _decided(fitted)
    wrong = int(((fitted == Found.POSITIVE) != positive)[decided].sum())
    if wrong <= max_error * int(decided.sum()):
        return ""
    return f"{wrong} of {int(decided.sum())} decided cases are wrong in cross-validation, more than {max_error:g}"
