"""Student's t, Fisher, Holm, the incomplete beta function and the EWMA, against SciPy, statsmodels and tables."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import special, stats
from statsmodels.stats.multitest import multipletests

from edge_runtime.assurance.drift.ewma import limit_for, run_length
from edge_runtime.assurance.drift.student import fisher, holm, t_quantile, two_sided
from edge_runtime.assurance.incomplete_beta import incomplete_beta


def test_the_incomplete_beta_function_is_scipys() -> None:
    random = np.random.default_rng(0)
    for a, b, x in random.uniform((0.1, 0.1, 0), (300, 300, 1), size=(500, 3)):
        assert incomplete_beta(a, b, x) == pytest.approx(float(special.betainc(a, b, x)), rel=1e-9, abs=1e-14)
    assert (incomplete_beta(2, 3, 0.0), incomplete_beta(2, 3, 1.0)) == (0.0, 1.0)


@pytest.mark.parametrize("freedom", [1.0, 2.5, 9.0, 31.7, 1000.0])
def test_students_t_is_scipys(freedom: float) -> None:
    for t in (0.0, 0.3, -1.7, 4.2, 12.0):
        assert two_sided(t, freedom) == pytest.approx(2 * stats.t.sf(abs(t), freedom), rel=1e-9)
    for share in (0.5, 0.8, 0.975, 0.9996, 0.9999999):
        assert t_quantile(share, freedom) == pytest.approx(stats.t.ppf(share, freedom), rel=1e-8, abs=1e-9)


def test_fishers_exact_test_is_scipys() -> None:
    random = np.random.default_rng(1)
    for _ in range(300):
        images, others = random.integers(1, 60, size=2).tolist()
        count, other = int(random.integers(0, images + 1)), int(random.integers(0, others + 1))
        expected = stats.fisher_exact([[count, images - count], [other, others - other]]).pvalue
        assert fisher(count, images, other, others) == pytest.approx(float(expected), rel=1e-8, abs=1e-12)


def test_holms_correction_is_that_of_statsmodels() -> None:
    values = np.random.default_rng(2).uniform(size=40) ** 4
    assert holm(values.tolist()) == pytest.approx(multipletests(values, method="holm")[1].tolist())
    assert holm([]) == []


@pytest.mark.parametrize(
    "weight, limit, published",  # Lucas & Saccucci 1990, table 3: in-control ARL of about 500
    [(0.1, 2.814, 500.0), (0.25, 2.998, 500.0), (0.5, 3.071, 500.0), (1.0, 3.090, 500.0)],
)
def test_the_run_length_of_an_ewma_is_the_published_one(weight: float, limit: float, published: float) -> None:
    assert run_length(limit, weight) == pytest.approx(published, rel=0.01)


def test_a_limit_gives_the_run_length_that_is_wanted() -> None:
    for wanted in (100.0, 370.0, 20000.0):
        assert run_length(limit_for(wanted)) == pytest.approx(wanted, rel=1e-3)


def test_the_run_length_is_that_of_simulated_points() -> None:
    random, limit = np.random.default_rng(3), limit_for(50.0)
    edge, lengths = limit * (0.2 / 1.8) ** 0.5, []
    for _ in range(600):
        average, length = 0.0, 0
        while abs(average) <= edge:
            average = 0.8 * average + 0.2 * float(random.normal())
            length += 1
        lengths.append(length)
    error = float(np.std(lengths)) / len(lengths) ** 0.5
    assert abs(np.mean(lengths) - 50.0) < 4 * error
