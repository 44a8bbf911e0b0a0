"""Exact binomial bounds and the numbers of cases that a claim about a share needs, with the standard library alone.

Bounds are those of Clopper and Pearson 1934 (Biometrika 26:404): they hold for every number of cases, which the normal
approximation does not. Tests compare them with SciPy's beta distribution.
"""

from __future__ import annotations

from dataclasses import dataclass

from edge_runtime.assurance.incomplete_beta import incomplete_beta

_HALVINGS = 60
"""Steps of bisection: 2^-60 is below the rounding of the probabilities."""


@dataclass(frozen=True)
class Need:
    """The number of cases that shows a share to be above a floor.

    Attributes:
        floor: the share (0..1) that the lower bound must reach.
        truth: the share (0..1) that is assumed to be true.
        cases: smallest number of cases with the wanted power.
        misses: largest number of wrong cases among them with which the floor is still shown.
        power: probability (0..1) that no more than ``misses`` of the cases are wrong.
    """

    floor: float
    truth: float
    cases: int
    misses: int
    power: float


def at_most(count: int, cases: int, share: float) -> float:
    """Return the probability (0..1) of at most ``count`` events among ``cases``, each with probability ``share``."""
    if count < 0:
        return 0.0
    if count >= cases or share <= 0.0:
        return 1.0
    if share >= 1.0:
        return 0.0
    return incomplete_beta(cases - count, count + 1, 1.0 - share)


def lower_bound(count: int, cases: int, confidence: float) -> float:
    """Return the one-sided lower bound (0..1) of a share of which ``count`` of ``cases`` were seen.

    Args:
        count: number of events, 0..cases.
        cases: number of independent cases; with none, the bound is 0.
        confidence: of the bound, above 0 and below 1.
    """
    _check(count, cases, confidence)
    if count == 0:
        return 0.0
    low, high = 0.0, 1.0
    for _ in range(_HALVINGS):  # the share at which as many events or more have the probability 1 - confidence
        middle = (low + high) / 2
        if 1.0 - at_most(count - 1, cases, middle) < 1.0 - confidence:
            low = middle
        else:
            high = middle
    return low


def upper_bound(count: int, cases: int, confidence: float) -> float:
    """Return the one-sided upper bound (0..1); arguments as in :func:`lower_bound`. With no case, the bound is 1."""
    _check(count, cases, confidence)
    return 1.0 - lower_bound(cases - count, cases, confidence) if cases else 1.0


def interval(count: int, cases: int, confidence: float = 0.95) -> tuple[float, float]:
    """Return the two-sided interval (0..1, 0..1) of a share; arguments as in :func:`lower_bound`."""
    each = (1.0 + confidence) / 2
    return lower_bound(count, cases, each), upper_bound(count, cases, each)


def most_misses(cases: int, floor: float, confidence: float) -> int | None:
    """Return the largest number of wrong cases with which a share is shown to be ``floor`` or more.

    None if the number of cases is too small to show it, even without a wrong one.
    """
    low, high = -1, cases
    while high - low > 1:  # the bound falls with each wrong case
        middle = (low + high) // 2
        if at_most(middle, cases, 1.0 - floor) <= 1.0 - confidence:
            low = middle
        else:
            high = middle
    return None if low < 0 else low


def cases_needed(floor: float, truth: float, confidence: float = 0.95, power: float = 0.8) -> Need:
    """Return the smallest number of cases that shows the floor with the wanted power.

    The power rises with the number of cases, but not at each step, as the number of misses is whole. The smallest
    number that reaches the power is returned; plan some cases more.

    Args:
        floor: share (0..1) that the lower bound must reach.
        truth: share (0..1) that is assumed to be true, above the floor.
        confidence: of the one-sided bound.
        power: wanted probability of showing the floor.

    Raises:
        ValueError: the floor is not below the assumed share, so that no number of cases can show it.
    """
    if not 0.0 < floor < truth <= 1.0:
        raise ValueError(f"found a floor of {floor:g} and an assumed share of {truth:g}, expected a floor below it.")
    cases = 0
    while True:
        cases += 1
        misses = most_misses(cases, floor, confidence)
        if misses is not None and (reached := at_most(misses, cases, 1.0 - truth)) >= power:
            return Need(floor, truth, cases, misses, reached)


def _check(count: int, cases: int, confidence: float) -> None:
    if not (0 <= count <= cases and 0.0 < confidence < 1.0):
        raise ValueError(
            f"found {count} of {cases} cases at a confidence of {confidence:g}, expected 0..{cases} of them and a "
            "confidence between 0 and 1."
        )
