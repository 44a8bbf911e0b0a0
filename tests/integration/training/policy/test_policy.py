"""A fitted policy does on its patients what was asked, step after step, and says so; or it is refused."""

import re
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar
from sklearn.metrics import balanced_accuracy_score, log_loss, recall_score

from edge_runtime.bundle.policy import CaseRule, DecisionPolicy, Head
from edge_runtime.bundle.spec import ModelSpec
from edge_runtime.decision.verdict import Decision
from training.errors import DatasetError
from training.metrics import evaluation
from training.metrics.classwise import ClassOutcomes
from training.metrics.confidence import expected_calibration_error
from training.policy.cases import apply_rule, evaluate_cases, patch_counts
from training.policy.policy import PolicyTarget, calibration_error, fit_policy
from training.policy.selective_prediction import confidence_floor
from training.recipes.idc_patch import SPEC

BINARY = replace(SPEC, head=Head.SIGMOID)
BOASTFUL = 3.0
"""Logits are so many times too large."""


@pytest.fixture(autouse=True)
def few_resamples(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evaluation, "RESAMPLES", 40)


def _outcome(spec: ModelSpec = BINARY, patients: int = 60, seed: int = 0, gain: float = 2.5) -> ClassOutcomes:
    """Thirty images a patient; odd patients have hardly a positive one; scores at a third of the logits are true."""
    rng = np.random.default_rng(seed)
    groups = np.repeat(np.arange(patients), 30)
    lift = np.where(groups % 2 == 0, 2 * gain * (rng.random(len(groups)) < 0.6), -5.0)
    true = rng.normal(-2.5, 1.5, len(groups)) + lift
    labels = (rng.random(len(groups)) < 1 / (1 + np.exp(-true))).astype(np.int64)
    z = BOASTFUL * true[:, np.newaxis]
    logits = z if spec.head is Head.SIGMOID else np.concatenate([-z, z], axis=1)
    return ClassOutcomes.of(logits, labels, np.array([f"p{i:03d}" for i in groups]), spec)


def test_the_temperature_alone_is_fitted_by_default_and_the_rest_is_kept() -> None:
    outcome = _outcome()
    found = fit_policy(outcome, PolicyTarget()).policy
    oracle = minimize_scalar(
        lambda t: log_loss(outcome.labels, 1 / (1 + np.exp(-outcome.logits[:, 0] / t))), bounds=(0.1, 10)
    )
    assert found.temperature == pytest.approx(oracle.x, rel=1e-3)
    assert found.temperature == pytest.approx(BOASTFUL, rel=0.15)
    assert found == replace(outcome.spec.policy, temperature=found.temperature)


def test_the_weight_of_neighbours_is_kept_whatever_is_fitted() -> None:
    policy = replace(BINARY.policy, neighbours=0.5)
    found = fit_policy(_outcome(replace(BINARY, policy=policy)), PolicyTarget(youden=True, max_error=0.2, case=True))
    assert found.policy.neighbours == 0.5 and found.policy.case is not None


def test_a_policy_fitted_twice_is_the_same_as_raw_logits_are_fitted() -> None:
    outcome = _outcome()
    target = PolicyTarget(youden=True, max_error=0.2)
    once = fit_policy(outcome, target).policy
    assert fit_policy(outcome.under(once), target).policy == once


@pytest.mark.parametrize("spec", [BINARY, SPEC], ids=["sigmoid", "independent sigmoids"])
@pytest.mark.parametrize("wanted", [0.8, 0.95, 1.0])
def test_a_sensitivity_is_reached_on_the_divided_scores(spec: ModelSpec, wanted: float) -> None:
    outcome = _outcome(spec)
    policy = fit_policy(outcome, PolicyTarget(sensitivity=wanted)).policy
    seen = outcome.under(policy)
    assert policy.temperature > 1.5
    assert recall_score(seen.truth, seen.called) >= wanted
    higher = seen.under(replace(policy, cutoff=float(seen.positive[seen.positive >= policy.cutoff].min()) + 1e-9))
    assert recall_score(seen.truth, higher.called) < wanted or wanted == 1.0 or not seen.truth[seen.called].all()


def test_the_cutoff_of_youden_is_the_best_of_all_divided_scores() -> None:
    outcome = _outcome()
    seen = outcome.under(fit_policy(outcome, PolicyTarget(youden=True)).policy)
    best = max(balanced_accuracy_score(seen.truth, seen.positive >= score) for score in np.unique(seen.positive)[::3])
    assert balanced_accuracy_score(seen.truth, seen.called) >= best


def test_the_floor_is_that_of_wrong_sides_on_divided_scores_at_the_new_cutoff() -> None:
    outcome = _outcome()
    policy = fit_policy(outcome, PolicyTarget(sensitivity=0.9, max_error=0.2)).policy
    seen = outcome.under(policy)
    oracle = confidence_floor(seen.confidence, seen.called == seen.truth, seen.groups, 0.2)
    assert (policy.confidence_floor, oracle.coverage > 0) == (oracle.floor, True)
    answered = np.array([decision is not Decision.REFER for decision in seen.decisions])
    positive = np.array([decision is Decision.POSITIVE for decision in seen.decisions])
    assert (positive != seen.truth)[answered].mean() <= 0.2
    assert policy.confidence_floor != outcome.spec.policy.confidence_floor


@pytest.mark.parametrize("target", [PolicyTarget(max_error=0.001), PolicyTarget(sensitivity=0.999, max_error=0.01)])
def test_where_no_floor_keeps_the_promise_the_lowest_rate_is_named_and_can_be_had(target: PolicyTarget) -> None:
    outcome = _outcome(seed=2)
    with pytest.raises(DatasetError, match=r"found none that keeps .* assign more patients") as caught:
        fit_policy(outcome, target)
    named = re.search(r"--max-error ([\d.]+) or more", str(caught.value))
    assert named is not None
    fit_policy(outcome, replace(target, max_error=float(named[1])))
    with pytest.raises(DatasetError, match="found none"):
        fit_policy(outcome, replace(target, max_error=float(named[1]) - 0.002))


def test_one_patient_can_be_promised_nothing() -> None:
    one = _outcome(patients=2)
    rows = one.groups == "p000"
    alone = ClassOutcomes.of(one.logits[rows], one.labels[rows], one.groups[rows], one.spec)
    with pytest.raises(DatasetError, match=r"too few patients to bound any rate\. Either leave --max-error out"):
        fit_policy(alone, PolicyTarget(max_error=0.3))


def test_the_case_rule_counts_what_temperature_cutoff_and_floor_let_through() -> None:
    outcome = _outcome(gain=1.5)
    policy = fit_policy(outcome, PolicyTarget(youden=True, case=True)).policy
    seen = outcome.under(policy)
    assert policy.case is not None
    truth = patch_counts(seen, 0.0).truth
    best = max(
        balanced_accuracy_score(truth, apply_rule(seen, CaseRule(confidence, count)))
        for confidence in (0.8, 0.95, 0.99, 0.999)
        for count in range(1, 31)
    )
    assert balanced_accuracy_score(truth, apply_rule(seen, policy.case)) == pytest.approx(best)


def test_a_sensitivity_is_asked_of_the_case_rule_too() -> None:
    outcome = _outcome()
    policy = fit_policy(outcome, PolicyTarget(sensitivity=0.9, case=True)).policy
    assert policy.case is not None
    found = evaluate_cases(outcome.under(policy), policy.case)
    assert {figure.name: figure.value for figure in found.figures}["sensitivity"] >= 0.9


def test_an_older_case_rule_is_kept_where_none_is_asked_for() -> None:
    rule = CaseRule(0.9, 2)
    outcome = _outcome().under(DecisionPolicy(0.5, 0.8, case=rule))
    found = fit_policy(outcome, PolicyTarget(youden=True))
    assert found.policy.case == rule
    assert "2 images called positive with confidence 0.9 or more (kept)" in found.basis


def test_the_basis_says_every_number_of_the_policy_and_what_it_gave() -> None:
    outcome = _outcome()
    found = fit_policy(outcome, PolicyTarget(sensitivity=0.9, max_error=0.2, case=True))
    seen, policy = outcome.under(found.policy), found.policy
    before = expected_calibration_error(outcome.confidence, outcome.predicted == outcome.labels)
    assert policy.case is not None
    positives = int(patch_counts(seen, 0.0).truth.sum())
    for words in (
        f"on {positives} positive and {60 - positives} negative patients",
        "1800 validation images of 60 patients",
        f"Temperature {policy.temperature:.4g}",
        f"{before:.4f} before (temperature 1), {calibration_error(seen):.4f} after",
        f"Cut-off {policy.cutoff:.4g}, the highest of sensitivity 0.9 or more",
        f"sensitivity {recall_score(seen.truth, seen.called):.4f}",
        f"specificity {recall_score(~seen.truth, ~seen.called):.4f}",
        f"Confidence floor {policy.confidence_floor:g}",
        "Clopper–Pearson",
        f"called positive with confidence {policy.case.confidence:g} or more",
    ):
        assert words in found.basis, f"{words!r} is not in {found.basis!r}"
    assert calibration_error(seen) < before


@settings(derandomize=True, max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from([None, 0.7, 0.95]), st.booleans())
def test_every_fitted_policy_can_be_written_and_applied(seed: int, sensitivity: float | None, case: bool) -> None:
    outcome = _outcome(SPEC, patients=12, seed=seed)
    try:
        found = fit_policy(outcome, PolicyTarget(sensitivity=sensitivity, case=case))
    except DatasetError as error:
        assert case and str(error).startswith("case rule:")
        return
    assert len(outcome.under(found.policy).decisions) == len(outcome.labels)
    assert found.basis.endswith(".") and "nan" not in found.basis


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"sensitivity": 0.9, "youden": True}, "at most one of them"),
        ({"sensitivity": 0.0}, "more than 0 and at most 1"),
        ({"sensitivity": 1.1}, "more than 0 and at most 1"),
        ({"max_error": 0.0}, "max_error 0.0, expected a number between 0 and 1"),
        ({"max_error": 1.0}, "max_error 1.0"),
        ({"delta": 1.0}, "delta 1.0"),
    ],
)
def test_a_target_that_contradicts_itself_is_refused(asked: dict[str, float], words: str) -> None:
    with pytest.raises(ValueError, match=re.escape(words)):
        PolicyTarget(**asked)  # type: ignore[arg-type]


def test_a_specificity_of_one_patient_is_not_told_as_certain() -> None:
    """Many positive patients and a single negative one, whom every sensible rule clears."""
    outcome = _outcome()
    kept = np.array([name == "p001" or int(name[1:]) % 2 == 0 for name in outcome.groups])
    labels = np.where(outcome.groups == "p001", 0, outcome.labels)
    few = ClassOutcomes.of(outcome.logits[kept], labels[kept], outcome.groups[kept], outcome.spec)
    basis = fit_policy(few, PolicyTarget(case=True)).basis
    assert "specificity 1.000 [0.025, 1.000]" in basis
    assert "on 30 positive and 1 negative patients" in basis
