"""Figures with neighbours are those of a plain loop over places, and what has no places is refused."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from sklearn.metrics import balanced_accuracy_score, roc_auc_score

import training.metrics.evaluation
from edge_runtime.serialisation.records import write_record
from training.cli.neighbours import neighbours as command
from training.data.datasets import idc
from training.errors import ArtifactError, RecipeError
from training.experiments.cross_validation_folder import CrossPlan
from training.experiments.neighbours import WEIGHTS, measure_neighbours
from training.experiments.predictions import HeldOutPrediction, write_predictions

PLAN = CrossPlan("idc-patch-compact", 5, 1, 16, None, "0" * 64)


@pytest.fixture(autouse=True)
def few_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    """Intervals are tested elsewhere."""
    monkeypatch.setattr(training.metrics.evaluation, "RESAMPLES", 20)


def prediction(patient: int, x: int, y: int, label: int, logit: float) -> HeldOutPrediction:
    name = f"{patient}/{label}/{patient}_idx5_x{x}_y{y}_class{label}.png"
    return HeldOutPrediction(name, str(patient), idc.LABELS[label], 1, 0.5, (logit,))


def slide(patient: int, columns: int, rows: int, step: int) -> list[HeldOutPrediction]:
    """A slide whose right half is malignant, under much noise."""
    rng = np.random.default_rng(patient)
    found = []
    for row in range(rows):
        for column in range(columns):
            label = int(column >= columns // 2)
            x, y = 1001 + 50 * step * column, 51 + 50 * step * row
            found.append(prediction(patient, x, y, label, float(rng.normal(2 * label - 1, 2))))
    return found


def write(folder: Path, predictions: list[HeldOutPrediction], plan: CrossPlan = PLAN) -> Path:
    write_record(folder / "plan.json", plan)
    write_predictions(folder / "predictions.csv", predictions)
    return folder


def by_hand(predictions: list[HeldOutPrediction], weight: float) -> dict[str, float]:
    places = {}
    for p in predictions:
        found = re.search(r"_x(\d+)_y(\d+)_", p.name)
        assert found is not None
        places[p.group, int(found[1]), int(found[2])] = p
    truth, score = [], []
    for (group, x, y), p in places.items():
        around = [(group, x + i, y + j) for i in (-50, 0, 50) for j in (-50, 0, 50) if i or j]
        logits = [places[place].logits[0] for place in around if place in places]
        truth.append(p.label == "malignant")
        score.append((p.logits[0] + weight * sum(logits)) / (1 + weight * len(logits)))
    called = np.array(score) >= 0
    return {"auroc": roc_auc_score(truth, score), "balanced accuracy": balanced_accuracy_score(truth, called)}


def test_each_weight_has_the_plain_loops_figures_for_each_kind_of_slide(tmp_path: Path) -> None:
    complete = [*slide(11, 8, 6, 1), *slide(12, 5, 9, 1)]
    rest = [p for patient in range(20, 26) for p in slide(patient, 4, 3, 3)] + slide(30, 8, 1, 1)
    mixed = [p for pair in zip(complete, [*rest, *complete], strict=False) for p in pair]
    kinds = measure_neighbours(write(tmp_path, list(dict.fromkeys([*mixed, *rest, *complete]))))
    assert [(k.name, k.patients, k.patches) for k in kinds] == [("complete slides", 2, 93), ("the rest", 7, 80)]
    for kind, predictions in zip(kinds, (complete, rest), strict=True):
        assert kind.positives == sum(p.label == "malignant" for p in predictions)
        assert [row.weight for row in kind.rows] == list(WEIGHTS)
        alone = by_hand(predictions, 0.0)
        for row in kind.rows:
            found = {figure.name: figure.value for figure in row.figures}
            expected = by_hand(predictions, row.weight)
            gained = {f"{name} gained": expected[name] - alone[name] for name in expected} if row.weight else {}
            assert found == pytest.approx(expected | gained, abs=6e-5)
    assert kinds[0].rows[3].figures[0].value > kinds[0].rows[0].figures[0].value + 0.03


def test_a_place_is_read_from_a_name_of_the_published_layout_alone() -> None:
    assert idc.place_of("8863/0/8863_idx5_x1051_y751_class0.png") == (1051, 751)
    assert idc.place_of("8863_idx5_x1051_y751_class2.png") is None and idc.place_of("8863/0/p.png") is None


FAULTS = {
    "no place": (replace(prediction(1, 1, 1, 0, 0.1), name="1/0/a.png"), "a.png: expected a position"),
    "beside the grid": (prediction(11, 1011, 151, 0, 0.1), "patient 11: found patches off the grid of 50 px"),
    "two in one place": (prediction(11, 1001, 51, 1, 0.1), "patient 11: found patches off .* or two at one position"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_patches_that_lie_on_no_grid_are_refused(tmp_path: Path, fault: str) -> None:
    more, words = FAULTS[fault]
    with pytest.raises(ArtifactError, match=words):
        measure_neighbours(write(tmp_path, [*slide(11, 4, 4, 1), more]))


def test_what_is_no_cross_validation_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match=r"plan\.json: missing, expected a folder that .* crossvalidate"):
        measure_neighbours(tmp_path)
    with pytest.raises(RecipeError, match="found recipe 'nobody'"):
        measure_neighbours(write(tmp_path, slide(11, 4, 4, 1), replace(PLAN, recipe="nobody")))


def test_the_command_says_what_complete_means_and_prints_each_weight(tmp_path: Path) -> None:
    result = CliRunner().invoke(command, [str(write(tmp_path, slide(11, 6, 6, 1)))], catch_exceptions=False)
    lines = result.stdout.splitlines()
    assert lines[0].startswith(
        "a slide is complete where 50% of its patches or more have 4 neighbours or more of eight"
    )
    assert lines[1] == "complete slides: 36 patches of 1 patients, 18 positive"
    assert [line for line in lines if line.startswith(" weight")] == [f" weight {weight:g}" for weight in WEIGHTS]
