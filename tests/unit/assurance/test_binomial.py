"""Exact binomial bounds against fractions, and the numbers of cases that floors need."""

from __future__ import annotations

from fractions import Fraction
from math import comb

import pytest

from edge_runtime.assurance.binomial import (
    at_most,
    cases_needed,
    interval,
    lower_bound,
    most_misses,
    upper_bound,
)


def _exact_at_most(count: int, cases: int, share: Fraction) -> Fraction:
    return sum((comb(cases, k) * share**k * (1 - share) ** (cases - k) for k in range(count + 1)), Fraction(0))


@pytest.mark.parametrize("cases", [1, 7, 30, 200])
@pytest.mark.parametrize("share", [Fraction(1, 1000), Fraction(1, 5), Fraction(1, 2), Fraction(19, 20)])
def test_the_distribution_equals_that_of_fractions(cases: int, share: Fraction) -> None:
    for count in {0, 1, cases // 2, cases - 1, cases}:
        assert at_most(count, cases, float(share)) == pytest.approx(
            float(_exact_at_most(count, cases, share)), rel=1e-9, abs=1e-300
        )
    assert at_most(-1, cases, 0.5) == 0


@pytest.mark.parametrize(("count", "cases"), [(1, 1), (3, 10), (29, 32), (39, 62), (100, 120)])
@pytest.mark.parametrize("confidence", [0.9, 0.95, 0.999])
def test_at_the_bound_what_was_seen_has_the_probability_that_is_left(count: int, cases: int, confidence: float) -> None:
    low = Fraction(lower_bound(count, cases, confidence)).limit_denominator(10**12)
    assert float(1 - _exact_at_most(count - 1, cases, low)) == pytest.approx(1 - confidence, rel=1e-6)
    high = Fraction(upper_bound(count, cases, confidence)).limit_denominator(10**12)
    if count < cases:
        assert float(_exact_at_most(count, cases, high)) == pytest.approx(1 - confidence, rel=1e-6)


def test_the_ends() -> None:
    assert (lower_bound(0, 9, 0.95), upper_bound(9, 9, 0.95)) == (0.0, 1.0)
    assert (lower_bound(0, 0, 0.95), upper_bound(0, 0, 0.95)) == (0.0, 1.0)
    assert lower_bound(20, 20, 0.95) == pytest.approx(0.05 ** (1 / 20))
    assert interval(81, 263) == pytest.approx((0.2527, 0.3676), abs=5e-5)
    with pytest.raises(ValueError, match="found 3 of 2 cases"):
        lower_bound(3, 2, 0.95)


@pytest.mark.parametrize(
    ("floor", "cases", "misses"), [(0.80, 30, 2), (0.85, 59, 4), (0.90, 179, 11)], ids=["0.80", "0.85", "0.90"]
)
def test_the_cases_that_a_floor_needs(floor: float, cases: int, misses: int) -> None:
    need = cases_needed(floor, 0.95)
    assert (need.cases, need.misses) == (cases, misses)
    assert need.power >= 0.8
    assert lower_bound(cases - misses, cases, 0.95) >= floor > lower_bound(cases - misses - 1, cases, 0.95)


def test_misses_agree_with_the_bound() -> None:
    for cases in (1, 18, 19, 20, 59, 60):
        misses = most_misses(cases, 0.85, 0.95)
        shown = [m for m in range(cases + 1) if lower_bound(cases - m, cases, 0.95) >= 0.85]
        assert misses == (max(shown) if shown else None)


def test_a_floor_that_no_number_of_cases_can_show_is_refused() -> None:
    with pytest.raises(ValueError, match="expected a floor below it"):
        cases_needed(0.95, 0.95)
