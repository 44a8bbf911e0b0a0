"""Figures by class equal scikit-learn's and hand counts; an outcome that contradicts itself is refused."""

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import softmax
from sklearn import metrics

from edge_runtime.bundle.policy import DecisionPolicy, Head
from edge_runtime.decision.verdict import Decision
from training.metrics import evaluation
from training.metrics.classwise import METRICS, ClassOutcomes, evaluate_classes, sensitivity_at, side_names
from training.metrics.confidence import expected_calibration_error
from training.recipes.idc_patch import SPEC

LABELS = ("d1-benign", "d1-malignant", "d2-benign", "d2-malignant")
FOUR = replace(SPEC, labels=LABELS, positive=LABELS[1::2], head=Head.SOFTMAX)


@pytest.fixture(autouse=True)
def few_resamples(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evaluation, "RESAMPLES", 60)


def _outcome(count: int = 400, seed: int = 0) -> ClassOutcomes:
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 4, count).astype(np.int64)
    logits = rng.normal(0, 1.5, (count, 4)) + 1.5 * np.eye(4)[labels]
    return ClassOutcomes.of(logits, labels, np.array([f"p{i}" for i in rng.integers(0, 20, count)]), FOUR)


def _collapsed(labels: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    return labels % 2


def test_each_label_against_the_rest_equals_scikit_learn() -> None:
    outcome = _outcome()
    table = metrics.precision_recall_fscore_support(outcome.labels, outcome.predicted, labels=range(4))
    for i, entry in enumerate(evaluate_classes(outcome).labels):
        found = {figure.name: figure.value for figure in entry.figures}
        assert (entry.label, entry.support) == (LABELS[i], table[3][i])
        accuracy = metrics.accuracy_score(outcome.labels == i, outcome.predicted == i)
        oracle = dict(zip(METRICS, (accuracy, *(column[i] for column in table[:3])), strict=True))
        assert found == pytest.approx(oracle, abs=5.1e-5)


def test_sides_are_collapsed_by_the_summed_score_and_the_cutoff() -> None:
    outcome = _outcome()
    called = outcome.scores[:, 1] + outcome.scores[:, 3] >= 0.5
    table = metrics.precision_recall_fscore_support(_collapsed(outcome.labels), called, labels=[0, 1])
    for i, entry in enumerate(evaluate_classes(outcome).sides):
        found = {figure.name: figure.value for figure in entry.figures}
        assert (entry.label, entry.support) == (("negative", "positive")[i], table[3][i])
        assert [found[m] for m in METRICS[1:]] == pytest.approx([column[i] for column in table[:3]], abs=5.1e-5)


def test_a_table_counted_by_hand() -> None:
    # truth 0 0 0 1 1, called 0 0 1 1 0 → class 1: precision 1/2, recall 1/2; class 0: 2/3, 2/3
    logits = np.array([[2.0, -2.0], [2.0, -2.0], [-2.0, 2.0], [-2.0, 2.0], [2.0, -2.0]])
    outcome = ClassOutcomes.of(logits, np.array([0, 0, 0, 1, 1]), np.array(list("abcde")), SPEC)
    benign, malignant = evaluate_classes(outcome).labels
    assert [f.value for f in benign.figures] == pytest.approx([0.6, 2 / 3, 2 / 3, 2 / 3], abs=5.1e-5)
    assert [f.value for f in malignant.figures] == pytest.approx([0.6, 0.5, 0.5, 0.5])


def test_figures_of_a_class_that_does_not_occur_are_left_out() -> None:
    outcome = _outcome()
    kept = outcome.labels != 3
    without = ClassOutcomes.of(outcome.logits[kept], outcome.labels[kept], outcome.groups[kept], FOUR)
    entry = evaluate_classes(without).labels[3]
    assert entry.support == 0
    assert "recall" not in {figure.name for figure in entry.figures}


@settings(derandomize=True, max_examples=150, deadline=None)
@given(
    st.lists(st.tuples(st.booleans(), st.integers(0, 10)), min_size=2, max_size=50), st.sampled_from([0.5, 0.9, 1.0])
)
def test_sensitivity_at_a_specificity_equals_trying_every_cutoff(pairs: list[tuple[bool, int]], wanted: float) -> None:
    truth, score = np.array([a for a, _ in pairs]), np.array([s / 10 for _, s in pairs])
    found = sensitivity_at(truth, score, wanted)
    if truth.all() or not truth.any():
        assert np.isnan(found)
        return
    tries = [c for c in (*np.unique(score), 2.0) if (score[~truth] < c).mean() >= wanted - 1e-9]
    assert found == pytest.approx(max((score[truth] >= c).mean() for c in tries))


def test_further_figures_are_sensitivity_and_calibration_error() -> None:
    outcome = _outcome()
    sensitivity, error = evaluate_classes(outcome).figures
    assert sensitivity.name == "sensitivity at specificity 0.9"
    assert sensitivity.value == pytest.approx(sensitivity_at(outcome.truth, outcome.positive, 0.9), abs=5.1e-5)
    assert sensitivity.low is not None and sensitivity.high is not None
    assert sensitivity.low <= sensitivity.value <= sensitivity.high
    oracle = expected_calibration_error(outcome.scores.max(axis=1), outcome.predicted == outcome.labels)
    assert (error.value, error.low) == (pytest.approx(oracle, abs=5.1e-5), None)


def test_an_outcome_under_another_policy_keeps_logits_and_divides_them_once() -> None:
    outcome = _outcome()
    warm = outcome.under(DecisionPolicy(0.5, 0.7, temperature=2.5))
    twice = warm.under(DecisionPolicy(0.5, 0.7, temperature=2.5))
    oracle = softmax(outcome.logits / 2.5, axis=1)
    for found in (warm, twice):
        np.testing.assert_array_equal(found.logits, outcome.logits)
        np.testing.assert_allclose(found.scores, oracle, rtol=1e-12)
        np.testing.assert_allclose(found.positive, oracle[:, 1::2].sum(axis=1), rtol=1e-12)
        np.testing.assert_allclose(found.confidence, oracle.max(axis=1), rtol=1e-12)
    referred = np.array([decision is Decision.REFER for decision in warm.decisions])
    np.testing.assert_array_equal(referred, oracle.max(axis=1) < 0.7)


def test_sides_carry_a_labels_own_name_where_there_is_but_one() -> None:
    assert side_names(SPEC) == ("benign", "malignant")
    assert side_names(FOUR) == ("negative", "positive")
    assert side_names(replace(FOUR, positive=LABELS[1:2])) == ("negative", "d1-malignant")


def test_an_outcome_that_contradicts_itself_is_refused() -> None:
    good = _outcome(10)
    with pytest.raises(ValueError, match="found shapes"):
        replace(good, logits=good.logits[:, 1:])
    with pytest.raises(ValueError, match="found shapes"):
        replace(good, groups=good.groups[1:])
    with pytest.raises(ValueError, match=r"labels in 0\.\.3"):
        replace(good, labels=good.labels + 4)
