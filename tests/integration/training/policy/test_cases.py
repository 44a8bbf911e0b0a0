"""Patients from patches: counts by hand, a rule by brute force, exact intervals."""

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest
from sklearn.metrics import balanced_accuracy_score, roc_auc_score

from edge_runtime.bundle.policy import CaseRule, DecisionPolicy
from edge_runtime.decision.case import decide_case
from edge_runtime.decision.verdict import Decision
from tests.unit.decision.plain_decision import plain_verdict
from training.errors import DatasetError
from training.metrics import evaluation
from training.metrics.classwise import ClassOutcomes
from training.policy.cases import (
    CONFIDENCES,
    apply_rule,
    decide_patients,
    evaluate_cases,
    exact,
    fit_rule,
    patch_counts,
)
from training.recipes.idc_patch import SPEC


@pytest.fixture(autouse=True)
def few_resamples(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evaluation, "RESAMPLES", 100)


def _outcome(scores: npt.ArrayLike, labels: npt.ArrayLike, groups: list[str]) -> ClassOutcomes:
    """Two opposite sigmoids, so that ``scores`` is the malignant score."""
    p = np.asarray(scores, dtype=np.float64)
    z = np.log(p / (1 - p))
    return ClassOutcomes.of(np.stack([-z, z], axis=1), np.asarray(labels, dtype=np.int64), np.array(groups), SPEC)


def _patients(seed: int, count: int = 40, patches: int = 30, gain: float = 2.0) -> ClassOutcomes:
    """Half of the patients have malignant patches; malignant patches score higher."""
    rng = np.random.default_rng(seed)
    groups = np.repeat(np.arange(count), patches)
    labels = (groups % 2 == 0) & (rng.random(len(groups)) < 0.4)
    logit = rng.normal(-1.5, 2.0, len(groups)) + rng.normal(0, 0.7, count)[groups] + gain * 1.5 * labels
    return _outcome(1 / (1 + np.exp(-logit)), labels, [f"p{i:02d}" for i in groups])


def test_patches_are_counted_by_hand() -> None:
    outcome = _outcome(
        [0.97, 0.96, 0.60, 0.02, 0.96, 0.01, 0.30], [1, 0, 1, 0, 0, 0, 0], ["b", "b", "b", "b", "a", "a", "a"]
    )
    found = patch_counts(outcome, 0.95)
    assert found.names.tolist() == ["a", "b"]
    assert found.truth.tolist() == [False, True]
    assert found.counts.tolist() == [1, 2], "a sure benign patch must not count, nor an unsure malignant one"
    assert found.answered.tolist() == [2, 3], "sure patches of either side"
    assert patch_counts(outcome, 0.0).counts.tolist() == [1, 2], "a referred patch must not count"
    assert patch_counts(outcome.under(DecisionPolicy(0.5, 0.0)), 0.0).counts.tolist() == [1, 3]
    assert apply_rule(outcome, CaseRule(0.95, 2)).tolist() == [False, True]
    assert apply_rule(outcome, CaseRule(0.95, 1)).tolist() == [True, True]


@pytest.mark.parametrize("seed", range(5))
def test_the_rule_is_the_best_of_all_counts_and_confidences(seed: int) -> None:
    outcome = _patients(seed)
    best = max(
        balanced_accuracy_score(found.truth, found.counts >= count)
        for found in (patch_counts(outcome, confidence) for confidence in CONFIDENCES)
        for count in range(1, 31)
    )
    rule = fit_rule(outcome)
    truth = patch_counts(outcome, 0.0).truth
    assert balanced_accuracy_score(truth, apply_rule(outcome, rule)) == pytest.approx(best)
    assert rule.confidence in CONFIDENCES


@pytest.mark.parametrize("wanted", [0.5, 0.8, 0.95])
def test_a_wanted_sensitivity_is_reached_at_the_best_specificity(wanted: float) -> None:
    outcome = _patients(1)
    rule = fit_rule(outcome, sensitivity=wanted)
    truth, called = patch_counts(outcome, 0.0).truth, apply_rule(outcome, rule)
    assert called[truth].mean() >= wanted
    for confidence in CONFIDENCES:
        fewer = patch_counts(outcome, confidence).counts
        reaching = [k for k in range(1, 31) if (fewer[truth] >= k).mean() >= wanted]
        if reaching:
            sure = fewer >= max(reaching)
            assert balanced_accuracy_score(truth, sure) <= balanced_accuracy_score(truth, called) + 1e-9


def test_a_rule_needs_both_kinds_of_patients_and_a_network_that_learned() -> None:
    with pytest.raises(DatasetError, match="found 1 positive among 1 validation patients"):
        fit_rule(_outcome([0.99, 0.9], [1, 1], ["a", "a"]))
    with pytest.raises(DatasetError, match="no confidence and count"):
        fit_rule(_outcome([0.01, 0.999], [1, 0], ["a", "b"]))


@pytest.mark.parametrize("policy", [DecisionPolicy(0.5, 0.0), DecisionPolicy(0.3, 0.9), DecisionPolicy(0.6, 0.8, 1.8)])
def test_patients_are_decided_as_the_device_decides_image_by_image(policy: DecisionPolicy) -> None:
    """Independent way: one verdict a patch, then one case a patient."""
    outcome, rule = _patients(2, count=15).under(policy), CaseRule(0.9, 3)
    verdicts = [plain_verdict(row, outcome.spec) for row in outcome.logits]
    found = decide_patients(outcome, rule)
    counts = patch_counts(outcome, rule.confidence)
    for i, name in enumerate(counts.names):
        own = [v for v, group in zip(verdicts, outcome.groups, strict=True) if group == name]
        case = decide_case([v.decision for v in own], [v.confidence for v in own], rule)
        assert found[i] == case
        assert (counts.counts[i], counts.answered[i]) == (case.count, case.answered)
        assert apply_rule(outcome, rule)[i] == (case.decision is Decision.POSITIVE)


def test_a_referred_patient_is_neither_found_nor_cleared() -> None:
    outcome = _outcome(
        [0.99, 0.97, 0.6, 0.7, 0.02, 0.01, 0.4], [1, 1, 1, 0, 0, 0, 0], ["a", "a", "b", "c", "d", "d", "d"]
    )
    figures = {figure.name: figure.value for figure in evaluate_cases(outcome, CaseRule(0.95, 2)).figures}
    assert figures["sensitivity"] == 0.5, "b is referred"
    assert figures["specificity"] == 0.5, "c is referred"
    assert figures["answered"] == 0.5


def test_an_evaluation_equals_scipy_and_scikit_learn() -> None:
    outcome = _patients(3)
    rule = CaseRule(0.95, 4)
    found = evaluate_cases(outcome, rule)
    patients = patch_counts(outcome, 0.95)
    figures = {figure.name: figure for figure in found.figures}
    assert (found.rule, found.patients, found.positives) == (rule, 40, 20)
    assert figures["auroc"].value == pytest.approx(roc_auc_score(patients.truth, patients.counts), abs=5.1e-5)
    cleared = (patients.counts < 4) & (patients.answered >= 4)  # fewer than four answered patches clear nobody
    right = int(cleared[~patients.truth].sum())
    oracle = binomtest(right, 20).proportion_ci(0.95, method="exact")
    specificity = figures["specificity"]
    assert (specificity.value, specificity.low, specificity.high) == pytest.approx(
        (right / 20, oracle.low, oracle.high), abs=5.1e-5
    )


def test_without_negative_patients_specificity_is_left_out() -> None:
    found = evaluate_cases(_outcome([0.99, 0.9, 0.2], [1, 1, 1], ["a", "b", "c"]), CaseRule(0.8, 1))
    assert [figure.name for figure in found.figures] == ["sensitivity", "answered"]


def test_two_of_two_are_not_called_certain() -> None:
    figure = exact("specificity", 2, 2)
    assert figure.low is not None and figure.low < 0.2


@settings(derandomize=True, max_examples=100, deadline=None)
@given(st.integers(1, 200), st.floats(0, 1))
def test_exact_intervals_equal_scipys(count: int, share: float) -> None:
    right = round(share * count)
    oracle = binomtest(right, count).proportion_ci(0.95, method="exact")
    figure = exact("x", right, count)
    assert (figure.low, figure.high) == pytest.approx((oracle.low, oracle.high), abs=5.1e-5)
