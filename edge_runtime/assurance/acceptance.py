"""The result of a site acceptance: each claim against its exact lower bound, in all cases and in subgroups."""

from __future__ import annotations

import enum
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from edge_runtime.assurance.binomial import cases_needed, interval, lower_bound, most_misses, upper_bound
from edge_runtime.assurance.outcome import Found, Outcome
from edge_runtime.assurance.protocol import Claims


class Finding(enum.Enum):
    """What the cases say about a floor."""

    SHOWN = "shown"  # the lower bound reaches the floor
    NOT_SHOWN = "not shown"  # the floor lies between the bounds: more cases are needed, or the model is not good enough
    BELOW = "below the floor"  # the upper bound is below the floor


@dataclass(frozen=True)
class Share:
    """A share of cases that were right.

    Attributes:
        cases: number of cases.
        right: number of them that were right.
        value: right / cases; None without a case.
        low, high: two-sided 95 % interval of Clopper and Pearson, 0..1.
    """

    cases: int
    right: int
    value: float | None
    low: float
    high: float

    @classmethod
    def of(cls, outcomes: Sequence[Outcome]) -> Share:
        """Return the share of right ones among ``outcomes``."""
        cases, right = len(outcomes), sum(outcome.right for outcome in outcomes)
        return cls(cases, right, right / cases if cases else None, *interval(right, cases))


@dataclass(frozen=True)
class Claim:
    """One floor and what the cases say about it.

    Attributes:
        name: ``sensitivity`` or ``specificity``.
        floor: the floor of the protocol; None if this figure is for information.
        share: the figure.
        lower: one-sided lower bound at the protocol's confidence, 0..1, which is compared with the floor.
        finding: the result; None without a floor.
        found: what the model said → number of cases.
    """

    name: str
    floor: float | None
    share: Share
    lower: float
    finding: Finding | None
    found: dict[str, int]


@dataclass(frozen=True)
class Subgroup:
    """Figures of the cases with one value of a subgroup. They are for information and carry no claim."""

    group: str
    value: str
    sensitivity: Share
    specificity: Share


@dataclass(frozen=True)
class Acceptance:
    """The result.

    Attributes:
        accepted: whether every floor was shown.
        claims: sensitivity and specificity.
        subgroups: figures of each value of each subgroup.
        rejected: error code → number of images that were rejected.
        notes: for each floor that is neither shown nor excluded, why.
    """

    accepted: bool
    claims: tuple[Claim, ...]
    subgroups: tuple[Subgroup, ...]
    rejected: dict[str, int]
    notes: tuple[str, ...]


def judge(outcomes: Sequence[Outcome], claims: Claims, rejected: Counter[str]) -> Acceptance:
    """Compare the outcomes of all cases with the claims.

    Args:
        outcomes: one for each case.
        claims: of the protocol.
        rejected: error code → number of images that were rejected.
    """
    positive = [outcome for outcome in outcomes if outcome.case.positive]
    negative = [outcome for outcome in outcomes if not outcome.case.positive]
    found = (
        _claim("sensitivity", claims.sensitivity, positive, claims.confidence),
        _claim("specificity", claims.specificity, negative, claims.confidence),
    )
    notes = tuple(_note(claim, claims.confidence) for claim in found if claim.finding is Finding.NOT_SHOWN)
    accepted = all(claim.finding in (None, Finding.SHOWN) for claim in found)
    return Acceptance(accepted, found, _subgroups(outcomes), dict(sorted(rejected.items())), notes)


def _note(claim: Claim, confidence: float) -> str:
    """Return why a floor is neither shown nor excluded."""
    cases, floor = claim.share.cases, claim.floor or 0.0
    misses = most_misses(cases, floor, confidence)
    if misses is None:
        least = cases_needed(floor, 1.0, confidence).cases
        return f"{claim.name}: too few cases. {cases} cannot show {floor:g}, even without an error; {least} can."
    wrong = cases - claim.share.right
    return f"{claim.name}: {wrong} of {cases} cases are wrong; with at most {misses}, {floor:g} would have been shown."


def _claim(name: str, floor: float | None, outcomes: Sequence[Outcome], confidence: float) -> Claim:
    share = Share.of(outcomes)
    lower = lower_bound(share.right, share.cases, confidence)
    counts = Counter(outcome.found.value for outcome in outcomes)
    finding = None
    if floor is not None:
        below = upper_bound(share.right, share.cases, confidence) < floor
        finding = Finding.SHOWN if lower >= floor else Finding.BELOW if below else Finding.NOT_SHOWN
    return Claim(name, floor, share, lower, finding, {kind.value: counts[kind.value] for kind in Found})


def _subgroups(outcomes: Sequence[Outcome]) -> tuple[Subgroup, ...]:
    pairs = sorted({pair for outcome in outcomes for pair in outcome.case.groups.items()})
    return tuple(_subgroup(outcomes, group, value) for group, value in pairs)


def _subgroup(outcomes: Sequence[Outcome], group: str, value: str) -> Subgroup:
    chosen = [outcome for outcome in outcomes if outcome.case.groups.get(group) == value]
    shares = (Share.of([o for o in chosen if o.case.positive is positive]) for positive in (True, False))
    return Subgroup(group, value, *shares)
