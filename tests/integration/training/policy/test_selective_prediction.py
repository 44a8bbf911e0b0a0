"""The confidence floor keeps its promise in simulations with clustered errors, and its parts equal oracles."""

import math

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom, binomtest

from training.errors import DatasetError
from training.policy.selective_prediction import (
    FLOORS,
    confidence_floor,
    effective_size,
    intraclass_correlation,
    lowest_max_error,
    upper_bound,
)

SIMULATIONS = 200
DELTA = 0.05
SLACK = 3 * math.sqrt(DELTA * (1 - DELTA) / SIMULATIONS)

Drawn = tuple[npt.NDArray[np.float64], npt.NDArray[np.bool_], npt.NDArray[np.str_]]


def _draw(rng: np.random.Generator, patients: int, spread: float, size: float = 60.0) -> Drawn:
    """Patients of unequal size whose error shifts by a common amount (log odds, standard deviation ``spread``)."""
    sizes = np.maximum(1, rng.lognormal(math.log(size), 0.7, patients)).astype(int)
    groups = np.repeat(np.arange(patients), sizes)
    logit = np.abs(rng.normal(1.5, 1.5, len(groups)))
    wrong = rng.random(len(groups)) < 1 / (1 + np.exp(logit - rng.normal(0, spread, patients)[groups]))
    return 1 / (1 + np.exp(-logit)), ~wrong, groups.astype(np.str_)


def _violations(
    patients: int, spread: float, max_error: float, *, as_if_independent: bool = False
) -> tuple[float, float]:
    """Return the share of simulated validation sets whose floor breaks the promise, and the share with a floor."""
    rng = np.random.default_rng(0)
    confidence, correct, _ = _draw(rng, 20_000, spread)
    true = {floor: float((~correct[confidence >= floor]).mean()) for floor in FLOORS if (confidence >= floor).any()}
    broken = reached = 0
    for _ in range(SIMULATIONS):
        confidence, correct, groups = _draw(rng, patients, spread)
        if as_if_independent:
            groups = np.arange(len(groups)).astype(np.str_)
        found = confidence_floor(confidence, correct, groups, max_error, DELTA)
        reached += found.coverage > 0
        broken += found.coverage > 0 and true[found.floor] > max_error
    return broken / SIMULATIONS, reached / SIMULATIONS


@pytest.mark.parametrize(
    ("patients", "spread", "max_error", "least_reached"),
    [(33, 0.0, 0.10, 0.9), (33, 1.0, 0.10, 0.5), (60, 1.0, 0.12, 0.9), (33, 1.5, 0.15, 0.4)],
)
def test_the_promise_is_broken_no_more_often_than_allowed_when_errors_are_clustered(
    patients: int, spread: float, max_error: float, least_reached: float
) -> None:
    broken, reached = _violations(patients, spread, max_error)
    assert broken <= DELTA + SLACK, f"broken in {broken:.3f} of {SIMULATIONS} simulated validation sets"
    assert reached >= least_reached, f"a floor was found in {reached:.2f} only: safe, but of no use"


def test_counting_images_as_independent_would_break_the_promise() -> None:
    broken, _ = _violations(33, 2.0, 0.10, as_if_independent=True)
    assert broken > DELTA + SLACK


@settings(derandomize=True, max_examples=100, deadline=None)
@given(st.integers(1, 400), st.floats(0, 1), st.sampled_from([0.01, 0.025, 0.05, 0.2]))
def test_the_bound_of_whole_counts_equals_scipys_exact_test_and_the_binomials_tail(
    trials: int, share: float, delta: float
) -> None:
    errors = round(share * trials)
    found = upper_bound(errors, trials, delta)
    oracle = binomtest(errors, trials, alternative="less").proportion_ci(1 - delta, method="exact").high
    assert found == pytest.approx(oracle, abs=1e-9)
    if errors < trials:
        assert binom.cdf(errors, trials, found) == pytest.approx(delta, abs=1e-7)


def test_correlation_is_one_for_all_or_none_zero_for_none_and_found_between() -> None:
    groups = np.repeat([f"p{i}" for i in range(400)], 20)
    rng = np.random.default_rng(0)
    assert intraclass_correlation(np.repeat(rng.random(400) < 0.3, 20), groups) == pytest.approx(1.0)
    assert intraclass_correlation(rng.random(8000) < 0.3, groups) < 0.01
    rate = np.repeat(rng.beta(1, 3, 400), 20)  # a beta-binomial's correlation is 1/(a+b+1)
    assert intraclass_correlation(rng.random(8000) < rate, groups) == pytest.approx(0.2, abs=0.03)


def test_images_that_always_agree_are_worth_one_image_a_patient() -> None:
    groups = np.repeat([f"p{i}" for i in range(50)], 20)
    wrong = np.repeat(np.arange(50) < 10, 20)
    found = effective_size(wrong, groups, intraclass_correlation(wrong, groups), DELTA)
    assert 45 < found <= 50


def test_images_without_errors_still_count_by_the_correlation_of_all() -> None:
    groups = np.repeat([f"p{i}" for i in range(50)], 20)
    found = effective_size(np.zeros(1000, dtype=bool), groups, 0.5, DELTA)
    assert found <= 1000 / (1 + 19 * 0.5)


def test_one_image_a_patient_gives_the_plain_bound() -> None:
    groups = np.array([f"p{i}" for i in range(300)])
    assert effective_size(np.arange(300) < 30, groups, 0.0, DELTA) == pytest.approx(300, rel=0.01)


def test_the_floor_says_what_it_found() -> None:
    rng = np.random.default_rng(1)
    confidence, correct, groups = _draw(rng, 80, 0.5)
    found = confidence_floor(confidence, correct, groups, 0.10)
    answered = confidence >= found.floor
    assert 0 < found.floor < 1
    assert found.coverage == answered.mean()
    assert found.error == pytest.approx((~correct[answered]).mean())
    assert found.error < found.upper <= 0.10
    assert found.effective < answered.sum()
    assert "80 patients" in found.method and "95%" in found.method


def test_where_no_floor_will_do_nothing_is_answered_and_it_says_so() -> None:
    rng = np.random.default_rng(1)
    confidence, correct, groups = _draw(rng, 10, 0.5)
    found = confidence_floor(confidence, correct, groups, 0.001)
    assert (found.floor, found.coverage, found.upper) == (1.0, 0.0, 1.0)
    assert math.isnan(found.error)
    assert found.method.startswith("No floor reached.")


@pytest.mark.parametrize(("patients", "spread"), [(10, 0.5), (33, 1.0), (80, 0.0)])
def test_the_lowest_rate_is_where_floors_begin_to_be_found(patients: int, spread: float) -> None:
    confidence, correct, groups = _draw(np.random.default_rng(1), patients, spread)
    lowest = lowest_max_error(confidence, correct, groups)
    assert 0 < lowest < 1
    assert confidence_floor(confidence, correct, groups, lowest + 1e-9).coverage > 0
    assert confidence_floor(confidence, correct, groups, lowest - 1e-6).coverage == 0


def test_a_single_patient_proves_nothing() -> None:
    assert lowest_max_error(np.full(500, 0.99), np.ones(500, dtype=bool), np.full(500, "p")) == 1.0
    found = confidence_floor(np.full(500, 0.99), np.ones(500, dtype=bool), np.full(500, "p"), 0.2)
    assert found.coverage == 0


def test_senseless_input_is_refused() -> None:
    one, yes, group = np.array([0.9]), np.array([True]), np.array(["p"])
    with pytest.raises(DatasetError, match="no validation image"):
        confidence_floor(one[:0], yes[:0], group[:0], 0.1)
    with pytest.raises(ValueError, match="expected as many"):
        confidence_floor(one, yes, np.array(["p", "q"]), 0.1)
    with pytest.raises(ValueError, match="between 0 and 1"):
        confidence_floor(one, yes, group, 1.0)
