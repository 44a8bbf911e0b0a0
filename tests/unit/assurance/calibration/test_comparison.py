"""Exact paired tests and intervals, against SciPy and against counting by hand."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from scipy.stats import binomtest, bootstrap

from edge_runtime.assurance.calibration.comparison import (
    balanced_sign_test,
    bootstrap_mean,
    margin_over_chance,
    share_change,
    sign_test,
)


@pytest.mark.parametrize(("gained", "lost"), [(0, 0), (5, 0), (6, 0), (9, 3), (3, 9), (40, 22)])
def test_the_sign_test_is_scipys(gained: int, lost: int) -> None:
    changed = gained + lost
    expected = binomtest(gained, changed, 0.5, alternative="greater").pvalue if changed else 1.0
    assert sign_test(gained, lost) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize(
    ("positive", "negative"),
    [((3, 1, 30), (5, 2, 60)), ((0, 0, 20), (6, 0, 25)), ((2, 4, 20), (5, 1, 20)), ((4, 0, 31), (0, 5, 47))],
)
def test_the_balanced_test_counts_every_flip_of_signs(
    positive: tuple[int, int, int], negative: tuple[int, int, int]
) -> None:
    weights = [1 / positive[2]] * sum(positive[:2]) + [1 / negative[2]] * sum(negative[:2])
    seen = (positive[0] - positive[1]) / positive[2] + (negative[0] - negative[1]) / negative[2]
    flips = [sum(s * w for s, w in zip(signs, weights, strict=True)) for signs in product((-1, 1), repeat=len(weights))]
    expected = sum(value >= seen - 1e-12 for value in flips) / len(flips)
    assert balanced_sign_test(positive, negative) == pytest.approx(expected, rel=1e-9)


def test_the_bootstrap_is_scipys() -> None:
    generator = np.random.default_rng(3)
    values = generator.choice([-1.0, 0.0, 1.0], 80, p=[0.1, 0.6, 0.3])
    found = bootstrap_mean([values])
    expected = bootstrap((values,), np.mean, n_resamples=5000, method="percentile", rng=generator).confidence_interval
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high), abs=0.02)
    assert found.value == pytest.approx(values.mean())


def test_shares_have_exact_intervals() -> None:
    before, after = np.arange(40) < 20, np.arange(40) < 30
    found = share_change("sensitivity", before, after)
    exact = binomtest(30, 40).proportion_ci(0.95, method="exact")
    assert (found.after.low, found.after.high) == pytest.approx((exact.low, exact.high), abs=1e-9)
    assert found.difference.value == pytest.approx(0.25)


def test_calling_cases_positive_at_random_has_no_margin() -> None:
    generator = np.random.default_rng(11)
    positive = generator.random(4000) < 0.5
    called = np.where(positive, generator.random(4000) < 0.6, generator.random(4000) < 0.2)
    flipped = called | (generator.random(4000) < 0.5)
    better = called | (generator.random(4000) < np.where(positive, 0.5, 0.1))
    margins = [margin_over_chance(positive, called == positive, other == positive) for other in (flipped, better)]
    assert margins[0].low < 0.0 < margins[0].high
    assert margins[1].low > 0.1
