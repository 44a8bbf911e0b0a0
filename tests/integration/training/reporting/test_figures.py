"""Every image is a PNG of 900 px width that shows something, and its curves equal scikit-learn's."""

from collections.abc import Callable
from dataclasses import replace

import cv2
import matplotlib
import numpy as np
import numpy.typing as npt
import pytest
from sklearn.metrics import precision_score, recall_score

from edge_runtime.bundle.policy import Head
from training.errors import DatasetError
from training.metrics import evaluation
from training.metrics.classwise import ClassOutcomes
from training.recipes.idc_patch import SPEC
from training.reporting import figures
from training.reporting.drawing import GRID

EIGHT = tuple(f"density{d}-{kind}" for d in range(1, 5) for kind in ("benign", "malignant"))
SPEC8 = replace(SPEC, labels=EIGHT, positive=EIGHT[1::2], head=Head.SOFTMAX)
HISTORY = {"loss": [0.9, 0.5, 0.3], "val_loss": [1.0, 0.6, 0.7], "accuracy": [0.6, 0.7, 0.8], "val_accuracy": [0.5] * 3}

IMAGES = {
    figures.roc_image: 720,
    figures.precision_recall_image: 720,
    figures.reliability_image: 840,
    figures.coverage_image: 600,
    figures.score_image: 600,
}


@pytest.fixture(autouse=True)
def few_resamples(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evaluation, "RESAMPLES", 30)


def _outcome(labels_count: int = 2, count: int = 300, seed: int = 0) -> ClassOutcomes:
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, labels_count, count).astype(np.int64)
    logits = rng.normal(0, 2, (count, labels_count)) + 2 * np.eye(labels_count)[labels]
    groups = np.array([f"p{i}" for i in rng.integers(0, 20, count)])
    return ClassOutcomes.of(logits, labels, groups, SPEC if labels_count == 2 else SPEC8)


def _decode(data: bytes) -> npt.NDArray[np.uint8]:
    image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    assert image is not None
    assert len(np.unique(image.reshape(-1, 3), axis=0)) > 10, "the image is empty"
    return np.asarray(image, dtype=np.uint8)


@pytest.mark.parametrize("draw", IMAGES, ids=lambda draw: draw.__name__)
@pytest.mark.parametrize("labels", [2, 8])
def test_images_of_an_outcome_have_their_size(draw: Callable[[ClassOutcomes], bytes], labels: int) -> None:
    assert _decode(draw(_outcome(labels))).shape == (IMAGES[draw], 900, 3)


@pytest.mark.parametrize("labels", [SPEC.labels, EIGHT], ids=["two", "eight"])
def test_confusion_images_have_their_size(labels: tuple[str, ...]) -> None:
    table = np.arange(len(labels) ** 2).reshape(len(labels), -1).tolist()
    assert _decode(figures.confusion_image(table, labels)).shape == (500 if len(labels) == 2 else 840, 900, 3)


def test_a_confusion_table_with_an_empty_row_is_drawn() -> None:
    _decode(figures.confusion_image([[0, 0], [3, 4]], SPEC.labels))


def test_history_is_drawn_even_for_one_epoch() -> None:
    assert _decode(figures.history_image(HISTORY)).shape == (760, 900, 3)
    _decode(figures.history_image({name: values[:1] for name, values in HISTORY.items()}))


def test_the_same_outcome_gives_the_same_bytes_and_global_settings_stay() -> None:
    before = dict(matplotlib.rcParams)
    outcome = _outcome()
    assert figures.score_image(outcome) == figures.score_image(outcome)
    assert dict(matplotlib.rcParams) == before


def test_curves_need_both_classes() -> None:
    outcome = _outcome()
    ones = replace(outcome, labels=np.ones_like(outcome.labels))
    for draw in (figures.roc_image, figures.precision_recall_image):
        with pytest.raises(DatasetError, match="both classes"):
            draw(ones)


def test_coverage_and_reliability_are_drawn_for_few_and_for_equal_confidences() -> None:
    few = _outcome(count=5)
    equal = ClassOutcomes.of(np.tile([[-3.0, 3.0]], (40, 1)), np.arange(40) % 2, np.arange(40).astype(np.str_), SPEC)
    for outcome in (few, equal):
        _decode(figures.coverage_image(outcome))
        _decode(figures.reliability_image(outcome))


def test_the_bands_follow_curves_that_equal_trying_every_cutoff() -> None:
    outcome = _outcome(count=60)
    truth, score = outcome.truth, np.round(outcome.positive, 1)  # ties
    cutoffs = (*np.unique(score), 2.0)
    alarms = np.array([(score[~truth] >= c).mean() for c in cutoffs])
    recall = np.array([recall_score(truth, score >= c) for c in cutoffs])
    precision = np.array([precision_score(truth, score >= c, zero_division=1) for c in cutoffs])
    roc, curve = figures._roc_on_grid(truth, score), figures._precision_on_grid(truth, score)
    for i, x in enumerate(GRID):
        assert roc[i] == pytest.approx(recall[alarms <= x].max())
        reaching = np.flatnonzero(recall >= max(x, 1e-9))
        assert curve[i] == pytest.approx(precision[reaching.max()])
