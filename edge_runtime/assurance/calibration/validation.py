"""Show whether fitted thresholds help: cross-validation over cases, with figures before and after.

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
from edge_runtime.assurance.calibration.comparison import share_change
from edge_runtime.assurance.calibration.criterion import LEVEL, Compared, changes_of, judge
from edge_runtime.assurance.calibration.fitting import fit
from edge_runtime.assurance.calibration.target import SiteTarget
from edge_runtime.assurance.outcome import Found
from edge_runtime.bundle.site_policy import Validation
from edge_runtime.errors import CalibrationError

FOLDS = 10
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


def validate(answers: CaseAnswers, names: Sequence[str], target: SiteTarget, tries: int = 1) -> Evidence:
    """Cross-validate the fit on the cases of a site.

    Args:
        answers: the answers on G cases.
        names: names of the cases; they determine the folds, whatever their order.
        target: what is fitted for.
        tries: number of different targets that were tried on these answers, this one included.

    Raises:
        CalibrationError: too few cases of a class (``calibration_too_few``), or no thresholds meet the target.
    """
    check_numbers(answers, target)
    own, fold = answers.spec.policy, folds_of(answers.positive, names)
    unfitted = deciding_scores(answers, own).found(own.cutoff)
    fitted, policies = np.empty(len(answers), np.object_), []
    for turn in range(FOLDS):
        policy = fit(answers.only(fold != turn), target)
        policies.append(policy)
        fitted[fold == turn] = deciding_scores(answers.only(fold == turn), policy).found(policy.cutoff)
    before, after = (right(found, answers.positive, target.referred, target.failed) for found in (unfitted, fitted))
    cases = Compared(answers.positive, before, after)
    changes = (*changes_of(cases), share_change("decided", _decided(unfitted), _decided(fitted)))
    found = judge(cases, changes, target, LEVEL / tries)
    missing, cutoffs = found.missing, [policy.cutoff for policy in policies]
    if not missing and target.max_error is not None:
        missing = _too_many_errors(answers.positive, fitted, target.max_error)
    validation = Validation(FOLDS, changes, min(cutoffs), max(cutoffs), found.criterion, found.p_value, tries)
    return Evidence(not missing, validation, missing)


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


def _decided(found: Outcomes) -> Bools:
    return np.asarray((found == Found.POSITIVE) | (found == Found.NEGATIVE), np.bool_)


def _too_many_errors(positive: Bools, fitted: Outcomes, max_error: float) -> str:
    decided = _decided(fitted)
    wrong = int(((fitted == Found.POSITIVE) != positive)[decided].sum())
    if wrong <= max_error * int(decided.sum()):
        return ""
    return f"{wrong} of {int(decided.sum())} decided cases are wrong in cross-validation, more than {max_error:g}"
