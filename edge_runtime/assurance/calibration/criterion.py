"""The criterion of a calibration: what has to be shown before the thresholds of a site are used."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from edge_runtime.assurance.binomial import lower_bound, upper_bound
from edge_runtime.assurance.calibration.comparison import (
    balanced_change,
    balanced_sign_test,
    margin_over_chance,
    share_change,
    sign_test,
)
from edge_runtime.assurance.calibration.target import SiteTarget
from edge_runtime.bundle.site_policy import Change

Bools = npt.NDArray[np.bool_]

LEVEL = 0.025
"""Largest one-sided p-value of what is shown. Where three things may be shown, each has a third of it; several tries on
the same answers share it (Bonferroni)."""
TOLERATED = 1 / 3
"""Share by which more positive cases may be missed than the target allows, where the specificity gains."""


class Compared(NamedTuple):
    """What is true of G cases, and whether each is right with the bundle's and with fitted thresholds; bool G."""

    positive: Bools
    before: Bools
    after: Bools

    def changed(self) -> tuple[tuple[int, int, int], tuple[int, int, int]]:
        """Return gained, lost and all cases, of the positive and of the negative ones."""
        positive, before, after = self
        return _changed(before[positive], after[positive]), _changed(before[~positive], after[~positive])


class Judgement(NamedTuple):
    """What the criterion gives.

    Attributes:
        criterion: what had to be shown, as a sentence.
        p_value: of its test.
        missing: what is not shown; empty if the criterion is met.
    """

    criterion: str
    p_value: float
    missing: str


def changes_of(cases: Compared) -> tuple[Change, Change, Change]:
    """Return the changes of sensitivity, specificity and balanced accuracy."""
    positive, before, after = cases
    return (
        share_change("sensitivity", before[positive], after[positive]),
        share_change("specificity", before[~positive], after[~positive]),
        balanced_change(positive, before, after),
    )


def judge(cases: Compared, changes: tuple[Change, ...], target: SiteTarget, level: float) -> Judgement:
    """Say whether the thresholds are shown to help.

    Args:
        cases: the cases, each decided by thresholds that were fitted without it.
        changes: of :func:`changes_of`.
        target: what the thresholds were fitted for.
        level: largest one-sided p-value.
    """
    if target.sensitivity is None:
        return _judge_youden(cases, changes, level)
    return _judge_sensitivity(cases, changes, target.sensitivity, level / 3)


def _judge_youden(cases: Compared, changes: tuple[Change, ...], level: float) -> Judgement:
    p_value, gain = balanced_sign_test(*cases.changed()), changes[2].difference
    criterion = (
        "The balanced accuracy on cases rises: the 95 % interval of the paired difference is above 0, and the exact "
        f"sign-flip test has a one-sided p of {level:g} or less."
    )
    shown = p_value <= level and gain.low > 0.0
    missing = "" if shown else f"the balanced accuracy changes by {gain.text()}, p = {p_value:.3f}"
    return Judgement(criterion, p_value, missing)


def _judge_sensitivity(cases: Compared, changes: tuple[Change, ...], wanted: float, level: float) -> Judgement:
    """Judge a target sensitivity. A change along the same curve is no help if the bundle meets the target already."""
    loss = TOLERATED * (1.0 - wanted)
    criterion = (
        f"One of three: (1) the sensitivity before is below {wanted:g}, rises, and more specificity is kept than by "
        f"calling cases positive at random; (2) the sensitivity before is above {wanted:g}, and the specificity rises; "
        "(3) the balanced accuracy rises by more than the sensitivity falls. In (2) and (3) the sensitivity stays at "
        f"{wanted:g} or where it was, less {loss:.2g} at most. Each by exact tests with a one-sided p of {level:.2g} "
        "or less. The balanced accuracy after is better than chance."
    )
    sensitivity, specificity, balanced = changes[:3]
    sick, well = cases.changed()
    rises, clears, gains = sign_test(*sick[:2]), sign_test(*well[:2]), balanced_sign_test(sick, well)
    right, count = int(cases.before[cases.positive].sum()), sick[2]
    kept = sensitivity.after.value >= min(wanted, sensitivity.before.value) - loss - 1e-9
    below = upper_bound(right, count, 1.0 - level) < wanted and margin_over_chance(*cases).low > 0.0
    above = lower_bound(right, count, 1.0 - level) > wanted and kept
    better = kept and balanced.difference.low > max(0.0, -sensitivity.difference.value)
    shown = [p for p, holds in ((rises, below), (clears, above), (gains, better)) if holds and p <= level]
    if not shown:
        missing = (
            f"sensitivity {sensitivity.difference.text()} (p = {rises:.3f}), specificity "
            f"{specificity.difference.text()} (p = {clears:.3f}), balanced accuracy {balanced.difference.text()} "
            f"(p = {gains:.3f})"
        )
        return Judgement(criterion, min(rises, clears, gains), missing)
    if balanced.after.low <= 0.5:
        return Judgement(criterion, min(shown), f"the balanced accuracy {balanced.after.text()} may be chance")
    return Judgement(criterion, min(shown), "")


def _changed(before: Bools, after: Bools) -> tuple[int, int, int]:
    """Return the numbers of cases that were gained, of those that were lost, and of all."""
    return int((~before & after).sum()), int((before & ~after).sum()), len(before)
