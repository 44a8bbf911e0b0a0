"""Subgroups are counted as the data set names them; calibration stands in every evaluation with its interval."""

from pathlib import Path

import numpy as np
import pytest
from sklearn import metrics

from edge_runtime.bundle.metrics import Figure, Subgroup
from training.data.datasets import Sample, Traits
from training.data.tensors import Tensors
from training.metrics import evaluation
from training.metrics.binary import auroc
from training.metrics.confidence import expected_calibration_error
from training.metrics.evaluation import calibrate, evaluate_baseline, evaluate_scored, mirrored
from training.metrics.scored import Scored
from training.metrics.subgroups import FEWEST, with_subgroups
from training.recipes.idc_patch import SPEC

COUNT = 300


@pytest.fixture(autouse=True)
def few_resamples(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evaluation, "RESAMPLES", 50)


def _scored(groups: int = 20) -> Scored:
    rng = np.random.default_rng(3)
    labels = rng.integers(0, 2, COUNT)
    logits = rng.normal(0, 2, (COUNT, 2)) + 1.5 * np.eye(2)[labels]
    return Scored.of_logits(logits, labels, np.array([f"p{i % groups}" for i in range(COUNT)]), SPEC)


def _samples() -> list[Sample]:
    return [Sample(f"{i}.png", Path(f"{i}.png"), 0, "p") for i in range(COUNT)]


def _with(found: Scored, traits: dict[str, Traits]) -> dict[tuple[str, str], Subgroup]:
    whole = evaluate_scored(found, SPEC, "test", "keras")
    return {(s.trait, s.value): s for s in with_subgroups(whole, found, _samples(), traits, SPEC).subgroups}


def test_each_subgroup_is_measured_on_its_own_images() -> None:
    found = _scored()
    traits: dict[str, Traits] = {f"{i}.png": (("tissue", "FGD"[i % 3]),) for i in range(COUNT)}
    groups = _with(found, traits)
    assert list(groups) == [("tissue", "D"), ("tissue", "F"), ("tissue", "G")]
    for (_, value), subgroup in groups.items():
        rows = np.arange("FGD".index(value), COUNT, 3)
        truth, called = found.labels[rows] == 1, found.positive[rows] >= SPEC.policy.cutoff
        figures = {figure.name: figure for figure in subgroup.figures}
        assert (subgroup.images, subgroup.positives) == (len(rows), int(truth.sum()))
        assert figures["sensitivity"].value == pytest.approx(metrics.recall_score(truth, called), abs=5.1e-5)
        assert figures["specificity"].value == pytest.approx(metrics.recall_score(~truth, ~called), abs=5.1e-5)
        assert figures["auroc"].value == pytest.approx(metrics.roc_auc_score(truth, found.positive[rows]), abs=5.1e-5)
        assert figures["answered"].value == pytest.approx(found.answered[rows].mean(), abs=5.1e-5)


def test_two_values_of_one_trait_count_in_both_and_a_value_of_all_images_is_no_subgroup() -> None:
    lesions: Traits = (("lesion", "CALC"), ("lesion", "MISC"))
    traits = {f"{i}.png": (("view", "front"), *(lesions if i < 40 else ())) for i in range(COUNT)}
    groups = _with(_scored(), traits)
    assert {key: found.images for key, found in groups.items()} == {("lesion", "CALC"): 40, ("lesion", "MISC"): 40}


def test_a_subgroup_of_few_patients_has_no_interval_and_one_of_one_side_no_auroc() -> None:
    found = _scored(groups=FEWEST - 1)
    positive = {f"{i}.png": (("severity", "malignant"),) for i in np.flatnonzero(found.labels == 1)}
    (subgroup,) = _with(found, positive).values()
    assert [figure.name for figure in subgroup.figures] == ["sensitivity", "answered"]
    assert all(figure.low is None for figure in subgroup.figures)
    (subgroup,) = _with(_scored(), positive).values()
    assert all(figure.low is not None for figure in subgroup.figures)


def test_no_traits_give_no_subgroups() -> None:
    assert _with(_scored(), {}) == {}


def test_the_calibration_error_stands_in_every_evaluation_and_its_bins_give_it_again() -> None:
    found = _scored()
    calibration = evaluate_scored(found, SPEC, "test", "keras").calibration
    assert calibration is not None
    oracle = expected_calibration_error(found.confidence, found.predicted == found.labels)
    assert calibration.error.value == pytest.approx(oracle, abs=5.1e-5)
    assert sum(row.count for row in calibration.bins) == COUNT
    again = sum(row.count * abs(row.confidence - row.accuracy) for row in calibration.bins) / COUNT
    assert again == pytest.approx(oracle, abs=1e-4)
    tensors = Tensors(np.zeros((COUNT, 1, 1, 3), np.float32), found.labels, found.groups, np.zeros((COUNT, 6)), (), ())
    baseline = evaluate_baseline(found.positive, tensors, SPEC, "test").calibration
    assert baseline is not None and baseline.error.low is not None


def test_sensitivity_is_the_recall_of_the_positive_side_at_the_specs_cutoff() -> None:
    found = evaluate_scored(_scored(), SPEC, "test", "keras")
    assert found.figure("sensitivity").value == found.figure("recall").value


def test_the_interval_of_a_calibration_error_holds_it_and_its_draws_lie_above() -> None:
    """Perfect calibration on few images: draws exceed the value, the mirrored interval reaches below it."""
    rng = np.random.default_rng(1)
    for count in (30, 300):
        confidence = 0.5 + rng.random(count) / 2
        correct = rng.random(count) < confidence
        error = calibrate(confidence, correct, np.array([str(i) for i in range(count)])).error
        assert error.low is not None and error.high is not None
        assert 0 <= error.low < error.value <= error.high <= 1
    figure = Figure("x", 0.2, 0.25, 0.4)
    assert (mirrored(figure).low, mirrored(figure).high) == (0.0, 0.2)


@pytest.mark.parametrize("seed", range(5))
def test_the_area_by_ranks_is_scikit_learn_s_with_ties_too(seed: int) -> None:
    rng = np.random.default_rng(seed)
    truth, score = rng.random(80) < 0.4, np.round(rng.random(80), 1)
    assert auroc(truth, score) == pytest.approx(metrics.roc_auc_score(truth, score), abs=1e-12)
    assert np.isnan(auroc(np.ones(4, dtype=bool), score[:4]))
