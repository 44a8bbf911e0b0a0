"""Temperature, calibration error and cut-offs against independent oracles and hand counts."""

import itertools
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize
from sklearn.metrics import log_loss, roc_curve

from edge_runtime.bundle.policy import Head
from edge_runtime.bundle.spec import ModelSpec
from edge_runtime.decision.scores import scores_of
from training.errors import DatasetError
from training.metrics.confidence import (
    cutoff_for_sensitivity,
    cutoff_youden,
    expected_calibration_error,
    fit_temperature,
    negative_log_likelihood,
    reliability,
)
from training.recipes.idc_patch import SPEC

THREE = replace(SPEC, labels=("benign", "malignant", "normal"), head=Head.SOFTMAX)
SPECS = {"softmax": THREE, "sigmoid": replace(SPEC, head=Head.SIGMOID), "independent": SPEC}
Floats = npt.NDArray[np.float64]

CASES = st.lists(st.tuples(st.booleans(), st.integers(0, 12)), min_size=2, max_size=60)


def _calibrated(spec: ModelSpec, count: int, seed: int = 0) -> tuple[Floats, npt.NDArray[np.int64]]:
    """Logits whose scores are true probabilities; for two sigmoids the one label's logit is the other's negative."""
    rng = np.random.default_rng(seed)
    z = rng.normal(0, 2, (count, spec.outputs))
    if spec.head is Head.INDEPENDENT_SIGMOIDS:
        z[:, 1] = -z[:, 0]
    scores = scores_of(z, spec)
    labels = (scores.cumsum(axis=1) < rng.random((count, 1))).sum(axis=1)
    return z, labels.astype(np.int64)


@pytest.mark.parametrize("name", SPECS)
@pytest.mark.parametrize("true", [0.4, 1.0, 3.0])
def test_the_temperature_by_which_logits_were_spoilt_is_found(name: str, true: float) -> None:
    spec = SPECS[name]
    z, labels = _calibrated(spec, 20_000)
    assert fit_temperature(z * true, labels, spec) == pytest.approx(true, rel=0.05)


def test_the_temperature_equals_another_optimiser_on_scikit_learns_loss() -> None:
    z, labels = _calibrated(THREE, 500, seed=3)
    z = 2.5 * z
    oracle = minimize(lambda t: log_loss(labels, scores_of(z / t[0], THREE)), [1.0], method="Nelder-Mead")
    assert fit_temperature(z, labels, THREE) == pytest.approx(oracle.x[0], rel=1e-3)


@pytest.mark.parametrize("name", SPECS)
def test_the_likelihood_equals_a_product_of_scores(name: str) -> None:
    spec = SPECS[name]
    z, labels = _calibrated(spec, 200, seed=1)
    scores = scores_of(z, spec)
    own = np.log(scores[np.arange(200), labels])
    if spec.head is Head.INDEPENDENT_SIGMOIDS:
        own = own + np.log(1 - scores[np.arange(200), 1 - labels])
    assert negative_log_likelihood(z, labels, spec.head) == pytest.approx(-own.mean())


def test_labels_that_are_perfectly_separated_leave_the_temperature_at_one() -> None:
    labels = np.array([0, 1] * 20, dtype=np.int64)
    z = 4.0 * np.eye(2)[labels] - 2.0
    assert fit_temperature(z, labels, SPEC) == 1.0
    assert fit_temperature(-z, labels, SPEC) == 1.0


def test_a_temperature_needs_images_and_finite_logits() -> None:
    with pytest.raises(DatasetError, match="no validation image"):
        fit_temperature(np.zeros((0, 2)), np.zeros(0, dtype=np.int64), SPEC)
    with pytest.raises(ValueError, match="finite values of shape"):
        fit_temperature([[np.nan, 0.0]], np.zeros(1, dtype=np.int64), SPEC)
    with pytest.raises(ValueError, match="finite values of shape"):
        fit_temperature(np.zeros((1, 3)), np.zeros(1, dtype=np.int64), SPEC)


def test_calibration_error_equals_a_count_by_hand() -> None:
    confidence = np.array([0.5, 0.6, 0.7, 0.8, 0.9, 1.0])
    correct = np.array([True, False, True, True, True, False])
    # two bins: mean confidence .6 and .9, accuracy 2/3 and 2/3
    assert expected_calibration_error(confidence, correct, bins=2) == pytest.approx((1 / 15 + 7 / 30) / 2)


def test_calibration_error_of_distinct_confidences_equals_that_of_equal_slices() -> None:
    rng = np.random.default_rng(0)
    confidence, correct = rng.permutation(np.linspace(0.2, 1, 997)), rng.random(997) < 0.7
    order = np.argsort(confidence)
    slices = np.array_split(order, 15)
    oracle = sum(len(s) * abs(confidence[s].mean() - correct[s].mean()) for s in slices) / 997
    assert expected_calibration_error(confidence, correct) == pytest.approx(oracle)


@settings(derandomize=True, max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 8), st.booleans()), min_size=1, max_size=80), st.integers(1, 20))
def test_bins_hold_every_image_once_and_share_no_confidence(pairs: list[tuple[int, bool]], bins: int) -> None:
    confidence, correct = np.array([c / 8 for c, _ in pairs]), np.array([a for _, a in pairs])
    rows = reliability(confidence, correct, bins)
    assert sum(row.count for row in rows) == len(pairs) and len(rows) <= bins
    assert all(first.high < second.low for first, second in itertools.pairwise(rows))
    assert sum(row.count * row.accuracy for row in rows) == pytest.approx(correct.sum())
    shuffled = np.random.default_rng(0).permutation(len(pairs))
    again = reliability(confidence[shuffled], correct[shuffled], bins)
    for row, other in zip(rows, again, strict=True):
        assert (row.low, row.high, row.count) == (other.low, other.high, other.count)
        assert (row.confidence, row.accuracy) == pytest.approx((other.confidence, other.accuracy))


def test_calibration_error_of_a_calibrated_model_is_near_zero_and_of_a_boastful_one_is_not() -> None:
    rng = np.random.default_rng(5)
    confidence = rng.uniform(0.5, 1, 20_000)
    correct = rng.random(20_000) < confidence
    assert expected_calibration_error(confidence, correct) < 0.015
    assert expected_calibration_error(np.full(20_000, 0.99), correct) == pytest.approx(0.99 - correct.mean())


def test_no_images_have_no_calibration_error() -> None:
    with pytest.raises(ValueError, match="expected N, N"):
        reliability(np.zeros(0), np.zeros(0, dtype=bool))


@settings(derandomize=True, max_examples=200, deadline=None)
@given(CASES, st.floats(0.01, 1.0))
def test_a_cutoff_for_sensitivity_reaches_it_and_no_higher_score_does(
    cases: list[tuple[bool, int]], at_least: float
) -> None:
    truth, score = np.array([a for a, _ in cases]), np.array([s / 12 for _, s in cases])
    if not truth.any():
        return
    cutoff = cutoff_for_sensitivity(truth, score, at_least)
    assert (score[truth] >= cutoff).mean() >= at_least - 1e-9
    higher = np.unique(score[score >= cutoff])[1:]
    assert all((score[truth] >= other).mean() < at_least for other in higher)
    assert cutoff not in score or cutoff == score.min(), "a cut-off lies between scores"


@settings(derandomize=True, max_examples=200, deadline=None)
@given(CASES)
def test_the_cutoff_of_youden_equals_the_best_point_of_scikit_learns_curve(cases: list[tuple[bool, int]]) -> None:
    truth, score = np.array([a for a, _ in cases]), np.array([s / 12 for _, s in cases])
    if truth.all() or not truth.any():
        with pytest.raises(DatasetError, match="found no"):
            cutoff_youden(truth, score)
        return
    false_alarms, sensitivity, _ = roc_curve(truth, score)
    best = float((sensitivity - false_alarms).max())
    if best < 1e-9:
        with pytest.raises(DatasetError, match="score no higher"):
            cutoff_youden(truth, score)
        return
    cutoff = cutoff_youden(truth, score)
    assert (score[truth] >= cutoff).mean() - (score[~truth] >= cutoff).mean() == pytest.approx(best)


def test_of_equally_good_cutoffs_the_more_sensitive_is_taken() -> None:
    truth, score = np.array([False, True, False, True]), np.array([0.1, 0.3, 0.5, 0.7])
    assert cutoff_youden(truth, score) == pytest.approx(0.2)


def test_cutoffs_refuse_scores_that_are_not_numbers_and_shares_out_of_range() -> None:
    truth = np.array([True, False])
    with pytest.raises(ValueError, match="finite"):
        cutoff_youden(truth, np.array([np.nan, 0.5]))
    with pytest.raises(ValueError, match="more than 0"):
        cutoff_for_sensitivity(truth, np.array([0.2, 0.5]), 0.0)
    with pytest.raises(DatasetError, match="no positive"):
        cutoff_for_sensitivity(~truth[:1], np.array([0.2]), 0.9)
