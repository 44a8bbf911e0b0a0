"""What files make of labelled images, against scikit-learn and by hand."""

from dataclasses import replace

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, precision_score, recall_score, roc_auc_score

from edge_runtime.bundle.spec import ModelSpec
from edge_runtime.decision.scores import positive_scores, scores_of
from export.source.calibration_images import Truth
from export.validation.labelled import labelled
from export.validation.parity import exceptions
from training.recipes.phantom_patch import PHANTOM_PATCH

SPEC: ModelSpec = PHANTOM_PATCH.spec


def _drawn(images: int = 400) -> tuple[np.ndarray, Truth]:
    rng = np.random.default_rng(5)
    labels = rng.integers(0, 2, images)
    logits = rng.normal(size=(images, SPEC.outputs)).astype(np.float32) * 3
    logits[:, -1] += 2 * labels - 1
    return logits, Truth(labels, np.array([f"p{i % 20}" for i in range(images)]))


def test_figures_are_those_of_scikit_learn() -> None:
    logits, truth = _drawn()
    found = labelled("keras", logits, truth, SPEC)
    score, confidence = positive_scores(logits, SPEC), scores_of(logits, SPEC).max(axis=1)
    assert (found.subject, found.images, found.groups) == ("keras", 400, 20)
    assert found.auroc == pytest.approx(roc_auc_score(truth.labels, score), abs=1e-5)
    for row in found.coverage:
        kept = confidence >= row.confidence
        assert row.coverage == pytest.approx(kept.mean(), abs=1e-5)
        if not kept.any():
            assert row.accuracy is None
            continue
        said = score[kept] >= SPEC.policy.cutoff
        assert row.accuracy == pytest.approx(accuracy_score(truth.labels[kept], said), abs=1e-5)
        if said.any():
            assert row.precision == pytest.approx(precision_score(truth.labels[kept], said), abs=1e-5)
        if truth.labels[kept].any():
            assert row.recall == pytest.approx(recall_score(truth.labels[kept], said), abs=1e-5)


def test_calibration_error_of_answers_that_are_always_half_right_is_half() -> None:
    logits = np.full((200, SPEC.outputs), -40.0, np.float32)
    logits[:, 0] = 40.0  # certain of the first label
    truth = Truth(np.arange(200) % 2, np.arange(200).astype(str))
    assert labelled("keras", logits, truth, SPEC).calibration_error == pytest.approx(0.5, abs=1e-5)


def test_one_class_has_no_area_under_a_curve() -> None:
    logits, truth = _drawn(50)
    assert labelled("keras", logits, replace(truth, labels=np.zeros(50, np.int64)), SPEC).auroc is None


@pytest.mark.parametrize("images", [20, 537, 2000])
def test_the_bound_on_exceptions_holds_in_95_of_100_draws(images: int) -> None:
    """How far exceptions lie is drawn uniformly here: the share beyond the largest of n is 1 - max."""
    rng = np.random.default_rng(images)
    beyond = 1.0 - rng.random((4000, images)).max(axis=1)
    held = (beyond <= exceptions(images)).mean()
    assert held == pytest.approx(0.95, abs=0.015)
