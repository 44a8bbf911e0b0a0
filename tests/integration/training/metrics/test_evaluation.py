"""Figures equal scikit-learn's and hand counts; intervals come from patients, not from patches."""

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics

from edge_runtime.decision.scores import positive_scores
from training.data.tensors import Tensors
from training.metrics import evaluation
from training.metrics.binary import rates
from training.metrics.evaluation import (
    CONFIDENCES,
    baseline_scores,
    bootstrap,
    evaluate_baseline,
    evaluate_scores,
    gain_over_baseline,
)
from training.recipes.idc_patch import IDC_PATCH, SPEC

CALLS = st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=60)


def _tensors(labels: npt.ArrayLike, groups: npt.ArrayLike, colour: npt.NDArray[np.float64] | None = None) -> Tensors:
    labels, groups = np.asarray(labels, dtype=np.int64), np.asarray(groups, dtype=np.str_)
    count = len(labels)
    colour = np.zeros((count, 6)) if colour is None else colour
    return Tensors(np.zeros((count, 1, 1, 3), np.float32), labels, groups, colour, (), ())


def _random(count: int, seed: int) -> tuple[npt.NDArray[np.float64], Tensors]:
    """Logits that know something of the labels, and eight patients."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 2, count)
    logits = rng.normal(0, 2.5, (count, 2)) + 1.5 * np.eye(2)[labels]
    return logits, _tensors(labels, [f"p{i}" for i in rng.integers(0, 8, count)])


@settings(derandomize=True, max_examples=100, deadline=None)
@given(CALLS)
def test_rates_equal_scikit_learn_and_are_nan_where_it_warns(calls: list[tuple[bool, bool]]) -> None:
    truth, called = np.array([a for a, _ in calls]), np.array([b for _, b in calls])
    nan = float("nan")
    oracle = {
        "accuracy": metrics.accuracy_score(truth, called),
        "precision": metrics.precision_score(truth, called, zero_division=nan),
        "recall": metrics.recall_score(truth, called, zero_division=nan),
        "specificity": metrics.recall_score(~truth, ~called, zero_division=nan),
        "f1": metrics.f1_score(truth, called, zero_division=nan),
    }
    oracle["balanced accuracy"] = (oracle["recall"] + oracle["specificity"]) / 2
    found = rates(truth, called)
    assert set(found) == set(oracle)
    for name, value in oracle.items():
        np.testing.assert_allclose(found[name], value, rtol=1e-12, err_msg=name)


def test_the_figures_of_an_evaluation_equal_scikit_learn() -> None:
    logits, tensors = _random(300, seed=1)
    found = evaluate_scores(logits, tensors, SPEC, "test")
    truth, score = tensors.labels == 1, positive_scores(logits, SPEC)
    oracle = {
        "auroc": metrics.roc_auc_score(truth, score),
        "accuracy": metrics.accuracy_score(truth, score >= 0.5),
        "balanced accuracy": metrics.balanced_accuracy_score(truth, score >= 0.5),
    }
    for name, value in oracle.items():
        assert found.figure(name).value == pytest.approx(value, abs=5.1e-5), name
    assert (found.part, found.subject, found.images, found.groups) == ("test", "keras", 300, 8)
    assert found.positives == truth.sum()
    table = metrics.confusion_matrix(tensors.labels, logits.argmax(axis=1))
    assert found.confusion == tuple(map(tuple, table.tolist()))


def test_coverage_figures_equal_a_count_by_hand() -> None:
    logits, tensors = _random(400, seed=2)
    found = evaluate_scores(logits, tensors, SPEC, "test")
    sigmoid = 1 / (1 + np.exp(-logits))
    for floor in CONFIDENCES[:4]:
        rows = [i for i in range(400) if max(sigmoid[i]) >= floor]
        right = sum(bool(sigmoid[i, 1] >= sigmoid[i, 0]) == bool(tensors.labels[i]) for i in rows)
        assert found.figure(f"coverage at confidence {floor:g}").value == round(len(rows) / 400, 4)
        assert found.figure(f"accuracy at confidence {floor:g}").value == round(right / len(rows), 4)
    answered = found.figure("answered").value
    assert answered == found.figure("coverage at confidence 0.8").value
    wrong = 1 - found.figure("accuracy at confidence 0.8").value
    assert found.figure("error among answered").value == pytest.approx(wrong, abs=1e-4)


def test_every_published_claim_has_the_name_of_a_figure_that_is_measured() -> None:
    """A claim under another name would silently be missing from the model card."""
    measured = {figure.name for figure in evaluate_scores(*_random(400, seed=3), SPEC, "test").figures}
    assert [claim.name for claim in IDC_PATCH.claims if claim.name not in measured] == []


def test_the_same_data_give_the_same_intervals() -> None:
    logits, tensors = _random(120, seed=4)
    assert evaluate_scores(logits, tensors, SPEC, "test") == evaluate_scores(logits, tensors, SPEC, "test")


def test_the_bootstrap_draws_whole_patients_as_many_as_there_are() -> None:
    groups = np.array(["a"] * 3 + ["b"] * 5 + ["c"])
    seen = []

    def measure(rows: npt.NDArray[np.intp]) -> dict[str, float]:
        seen.append(tuple(int((rows == i).sum()) for i in range(9)))
        return {"x": 1.0}

    bootstrap(measure, groups)
    assert seen[0] == (1,) * 9
    for times in seen:
        by_group = [set(times[:3]), set(times[3:8]), set(times[8:])]
        assert all(len(t) == 1 for t in by_group), f"a patient came in parts: {times}"
        assert sum(t.pop() for t in by_group) == 3, f"not three patients: {times}"


def test_patients_that_are_all_right_or_all_wrong_give_the_interval_of_their_number() -> None:
    """Ten patients, half of them right: the draws are binomial(10, .5)/10, whose 2.5 % points are .2 and .8."""
    groups = np.repeat([f"p{i}" for i in range(10)], 50)
    right = np.repeat(np.arange(10) < 5, 50)
    figure = bootstrap(lambda rows: {"accuracy": float(right[rows].mean())}, groups)[0]
    assert (figure.value, figure.low, figure.high) == (0.5, 0.2, 0.8)


def test_copies_of_the_same_patches_do_not_narrow_an_interval() -> None:
    logits, tensors = _random(160, seed=5)
    once = evaluate_scores(logits, tensors, SPEC, "test")
    rows = np.repeat(np.arange(160), 7)
    copied = _tensors(tensors.labels[rows], tensors.groups[rows])
    assert evaluate_scores(logits[rows], copied, SPEC, "test").figures == once.figures


def test_the_interval_holds_the_true_accuracy_about_as_often_as_it_says() -> None:
    """Forty patients with an accuracy of their own each; .80 on average. 60 repetitions of a 95 % interval."""
    hits = 0
    for seed in range(60):
        rng = np.random.default_rng(seed)
        groups = np.repeat([f"p{i}" for i in range(40)], 10)
        right = rng.random(400) < np.repeat(rng.beta(8, 2, 40), 10)
        figure = bootstrap(lambda rows, right=right: {"a": float(right[rows].mean())}, groups)[0]
        assert figure.low is not None
        assert figure.high is not None
        hits += figure.low <= 0.8 <= figure.high
    assert hits >= 50, f"{hits} of 60 intervals hold the truth; 50 or fewer has a chance under 1 in 500"


def test_draws_that_leave_a_figure_undefined_are_left_out_of_its_interval() -> None:
    """Only one of three patients has malignant patches: a draw without it has no recall."""
    labels, groups = [1, 1, 0, 0, 0, 0], ["a", "a", "b", "b", "c", "c"]
    logits = np.array([[-3, 3], [3, -3], [3, -3], [3, -3], [3, -3], [-3, 3]], dtype=float)
    found = evaluate_scores(logits, _tensors(labels, groups), SPEC, "test")
    assert (found.figure("recall").value, found.figure("recall").low, found.figure("recall").high) == (0.5, 0.5, 0.5)
    for figure in found.figures:
        assert np.isfinite([figure.value, figure.low, figure.high]).all(), figure
        assert figure.low <= figure.value <= figure.high, figure


def test_figures_that_no_image_defines_are_left_out() -> None:
    logits = np.full((6, 2), [2.0, -2.0])
    found = {f.name for f in evaluate_scores(logits, _tensors([0] * 6, list("aabbcc")), SPEC, "test").figures}
    assert {"accuracy", "specificity", "answered"} <= found
    assert not {"recall", "auroc", "balanced accuracy", "precision"} & found


def test_a_network_that_says_what_the_baseline_says_gains_exactly_nothing() -> None:
    logits, tensors = _random(200, seed=6)
    gain = gain_over_baseline(logits, positive_scores(logits, SPEC), tensors, SPEC)
    assert (gain.value, gain.low, gain.high) == (0.0, 0.0, 0.0)


def test_the_gain_is_the_difference_of_the_two_balanced_accuracies() -> None:
    logits, tensors = _random(240, seed=7)
    baseline = np.random.default_rng(0).random(240)
    network = evaluate_scores(logits, tensors, SPEC, "test").figure("balanced accuracy")
    other = evaluate_baseline(baseline, tensors, SPEC, "test").figure("balanced accuracy")
    gain = gain_over_baseline(logits, baseline, tensors, SPEC)
    assert gain.value == pytest.approx(network.value - other.value, abs=1.1e-4)
    assert gain.low is not None
    assert gain.low > 0


def test_the_baseline_finds_what_colour_alone_tells_and_nothing_where_it_tells_nothing() -> None:
    rng = np.random.default_rng(8)
    labels = rng.integers(0, 2, 600)
    telling = rng.normal(100, 10, (600, 6)) + 40 * labels[:, None] * (np.arange(6) == 0)
    for colour, low, high in ((telling, 0.95, 1.0), (rng.normal(100, 10, (600, 6)), 0.4, 0.6)):
        train, test = _tensors(labels, ["p"] * 600, colour), _tensors(labels[::2], ["q"] * 300, colour[::2] + 0.5)
        found = metrics.roc_auc_score(test.labels, baseline_scores(train, test, SPEC))
        assert low <= found <= high, found


def test_label_accuracy_mean_recall_and_macro_f1_are_scikit_learn_s() -> None:
    from sklearn.metrics import accuracy_score, balanced_accuracy_score, f1_score

    rng = np.random.default_rng(4)
    labels, predicted = rng.integers(0, 4, 60), rng.integers(0, 3, 60)
    groups = np.array([f"{i // 3:02}" for i in range(60)])
    found = {figure.name: figure for figure in evaluation._labels(labels, predicted, 5, groups)}
    assert found["label accuracy"].value == pytest.approx(accuracy_score(labels, predicted), abs=1e-4)
    assert found["mean label recall"].value == pytest.approx(balanced_accuracy_score(labels, predicted), abs=1e-4)
    assert found["macro F1"].value == pytest.approx(f1_score(labels, predicted, average="macro"), abs=1e-4)
    assert evaluation._labels(labels % 2, predicted % 2, 2, groups) == []
