"""Every patient is tested once by a network that never saw it; a finished fold is not fitted again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from sklearn.metrics import roc_auc_score

import training.experiments.cross_validation
import training.metrics.evaluation
from edge_runtime.decision.scores import positive_scores
from edge_runtime.serialisation.records import from_json
from training.cli.crossvalidate import crossvalidate as command
from training.data.datasets import idc
from training.data.folds import folds_by_group
from training.data.splits import Part
from training.data.tensors import Tensors, load_tensors
from training.errors import ArtifactError, DatasetError, RecipeError
from training.experiments.cross_validation import crossvalidate, pooled
from training.experiments.cross_validation_folder import CrossMeasured
from training.experiments.fold import parts_of
from training.experiments.predictions import HeldOutPrediction, read_predictions
from training.recipes.phantom_patch import PHANTOM_PATCH
from training.recipes.recipe import Teacher

SPEC = PHANTOM_PATCH.spec
Seen = list[tuple[Tensors, Tensors]]


@pytest.fixture(scope="module")
def tensors(phantom_data: Path) -> Tensors:
    return load_tensors(idc.load(phantom_data).samples, SPEC, label="all")


@pytest.fixture(autouse=True)
def few_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    """Intervals are tested elsewhere."""
    monkeypatch.setattr(training.metrics.evaluation, "RESAMPLES", 20)


def test_each_patient_is_tested_by_a_network_that_never_saw_it(phantom_data: Path, tmp_path: Path, seen: Seen) -> None:
    lines: list[str] = []
    crossvalidate(PHANTOM_PATCH, phantom_data, tmp_path / "out", folds=4, say=lines.append)
    assert len(seen) == 4
    tested: list[str] = []
    for turn, (train, validation) in enumerate(seen, start=1):
        asked = read_predictions(tmp_path / "out" / f"fold-{turn}" / "predictions.csv")
        groups = [set(train.groups), set(validation.groups), {p.group for p in asked}]
        assert sum(map(len, groups)) == len(set.union(*groups)) == 20
        assert {p.fold for p in asked} == {turn}
        tested += [p.name for p in asked]
    assert sorted(tested) == [s.name for s in idc.load(phantom_data).samples]
    assert [p.name for p in read_predictions(tmp_path / "out" / "predictions.csv")] == sorted(tested)
    assert [line[:11] for line in lines[1:]] == [f"fold {turn} of 4" for turn in range(1, 5)]


def test_a_distilled_recipe_learns_in_each_fold_from_the_teacher_of_this_fold(
    phantom_data: Path, tmp_path: Path, seen: Seen
) -> None:
    recipe, out = replace(PHANTOM_PATCH, teacher=Teacher(("phantom-patch",))), tmp_path / "out"
    crossvalidate(recipe, phantom_data, out, folds=4)
    of_teacher = out / "teachers" / "phantom-patch"
    assert len(seen) == 8
    for turn, ((taught, _), (train, _)) in enumerate(zip(seen[:4], seen[4:], strict=True), start=1):
        tested = {p.group for p in read_predictions(out / f"fold-{turn}" / "predictions.csv")}
        assert set(taught.groups) == set(train.groups)
        assert not tested & set(taught.groups), "a teacher saw patients that its student is tested on"
        assert {path.name for path in (out / f"fold-{turn}").iterdir()} == {"history.csv", "predictions.csv"}
        saved = {path.name for path in (of_teacher / f"fold-{turn}").iterdir()}
        assert saved == {"history.csv", "model.keras", "predictions.csv"}
    measured = from_json(CrossMeasured, (of_teacher / "metrics.json").read_bytes(), "metrics.json")
    assert measured.evaluations[0].images == 320, "the teachers are measured as well"


def test_a_resumed_run_of_a_distilled_recipe_keeps_its_teachers(phantom_data: Path, tmp_path: Path, seen: Seen) -> None:
    recipe, out = replace(PHANTOM_PATCH, teacher=Teacher(("phantom-patch",))), tmp_path / "out"
    first = crossvalidate(recipe, phantom_data, out, folds=3)
    for name in ("metrics.json", "fold-2/predictions.csv", "teachers/phantom-patch/metrics.json"):
        (out / name).unlink()
    (out / "teachers" / "phantom-patch" / "fold-3" / "predictions.csv").unlink()
    again = crossvalidate(recipe, phantom_data, out, folds=3, resume=True)
    assert len(seen) == 6 + 1 + 1
    assert again.evaluations[0].images == first.evaluations[0].images


def test_contradicted_images_are_asked_about_and_never_fitted_on(
    phantom_data: Path, tmp_path: Path, seen: Seen
) -> None:
    names = frozenset(s.name for s in idc.load(phantom_data).samples[::7])
    source = replace(PHANTOM_PATCH.source, load=lambda root: replace(idc.load(root), contradicted=names))
    measured = crossvalidate(replace(PHANTOM_PATCH, source=source), phantom_data, tmp_path / "out", folds=3)
    for fitted in (part for pair in seen for part in pair):
        assert not names & {s.name for s in fitted.samples}
    assert names <= {p.name for p in read_predictions(tmp_path / "out" / "predictions.csv")}
    assert (measured.contradicted, measured.evaluations[0].images) == (len(names), 320)


def test_a_resumed_run_fits_what_is_missing_alone_and_measures_the_same(
    phantom_data: Path, tmp_path: Path, seen: Seen
) -> None:
    out = tmp_path / "out"

    def run(resume: bool = True) -> CrossMeasured:
        return crossvalidate(PHANTOM_PATCH, phantom_data, out, folds=3, resume=resume)

    first = run(resume=False)
    for name in ("metrics.json", "predictions.csv"):
        (out / name).unlink()
    assert run() == first
    assert len(seen) == 3
    for name in ("metrics.json", "predictions.csv", "fold-2/predictions.csv"):
        (out / name).unlink()
    assert run().evaluations[0].images == 320
    assert len(seen) == 4
    assert set(seen[3][0].groups) == set(seen[1][0].groups)
    assert run() == run()
    assert len(seen) == 4


def test_nothing_is_overwritten_and_another_plan_is_not_resumed(phantom_data: Path, tmp_path: Path, seen: Seen) -> None:
    out = tmp_path / "out"
    crossvalidate(PHANTOM_PATCH, phantom_data, out, folds=3)
    with pytest.raises(ArtifactError, match="not overwritten"):
        crossvalidate(PHANTOM_PATCH, phantom_data, out, folds=3)
    for folds, seed, epochs, told in ((4, None, None, "folds 3"), (3, 9, None, "seed 1"), (3, None, 2, "epochs 30")):
        with pytest.raises(ArtifactError, match=rf"plan\.json: found {told}, expected .* or give another --out"):
            crossvalidate(PHANTOM_PATCH, phantom_data, out, folds=folds, seed=seed, epochs=epochs, resume=True)
    newer = replace(PHANTOM_PATCH, spec=replace(SPEC, version="2.0.0"))
    crossvalidate(newer, phantom_data, out, folds=3, resume=True)  # the version alone changes no fold
    other_spec = replace(PHANTOM_PATCH, spec=replace(SPEC, min_side_px=SPEC.min_side_px + 1))
    with pytest.raises(ArtifactError, match=r"plan\.json: found inputs '"):
        crossvalidate(other_spec, phantom_data, out, folds=3, resume=True)


def test_what_cannot_be_is_refused_before_anything_is_written(phantom_data: Path, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="takes no --weights"):
        crossvalidate(PHANTOM_PATCH, phantom_data, tmp_path / "out", weights="imagenet")
    with pytest.raises(DatasetError, match="found 20 groups for 21 folds"):
        crossvalidate(PHANTOM_PATCH, phantom_data, tmp_path / "out", folds=21)
    assert not (tmp_path / "out").exists()


def test_a_fold_whose_images_are_all_contradicted_is_refused(tensors: Tensors) -> None:
    split = folds_by_group(tensors.samples, 3, 0)[0]
    names = frozenset(s.name for s in tensors.samples if split[s.group] is Part.VALIDATION)
    with pytest.raises(DatasetError, match="found no image for validation"):
        parts_of(tensors, split, names)


def _answers(tensors: Tensors) -> list[HeldOutPrediction]:
    rng = np.random.default_rng(5)
    return [
        HeldOutPrediction(
            s.name, s.group, SPEC.labels[s.label], 1, float(rng.random()), tuple(rng.normal(size=2).tolist())
        )
        for s in tensors.samples
    ]


def test_pooled_figures_are_those_of_sklearn_in_whatever_order_the_folds_come(tensors: Tensors) -> None:
    answers = _answers(tensors)
    network, baseline = pooled(answers[::-1], tensors, SPEC, "3 folds")
    truth = tensors.labels == 1
    expected = roc_auc_score(truth, positive_scores([p.logits for p in answers], SPEC))
    assert {f.name: f.value for f in network.figures}["auroc"] == pytest.approx(expected, abs=1e-4)
    expected = roc_auc_score(truth, [p.baseline for p in answers])
    assert {f.name: f.value for f in baseline.figures}["auroc"] == pytest.approx(expected, abs=1e-4)
    assert network.figures[-1].name == "balanced accuracy over baseline"
    assert (network.part, network.groups) == ("3 folds", 20)


@pytest.mark.parametrize(
    "change",
    [
        lambda answers: answers[1:],
        lambda answers: [*answers, answers[0]],
        lambda answers: [replace(answers[0], label="other"), *answers[1:]],
        lambda answers: [replace(answers[0], group="other"), *answers[1:]],
    ],
    ids=["missing", "twice", "relabelled", "regrouped"],
)
def test_answers_that_are_not_one_a_image_are_refused(
    tensors: Tensors, change: Callable[[list[HeldOutPrediction]], list[HeldOutPrediction]]
) -> None:
    with pytest.raises(ArtifactError, match="expected one for each of the 320 images"):
        pooled(change(_answers(tensors)), tensors, SPEC, "3 folds")


def test_the_command_fits_really_prints_the_table_and_names_the_fold(phantom_data: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    arguments = ["phantom-patch", "--data", str(phantom_data), "--out", str(out), "--folds", "3", "--epochs", "1"]
    result = CliRunner().invoke(command, arguments)
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith("keras on 3 folds: 320 images of 20 patients")
    assert "\nbaseline on 3 folds: 320 images" in result.stdout
    assert "fold 2 of 3: train " in result.stderr
    assert {path.name for path in out.iterdir()} == {
        *(f"fold-{turn}" for turn in (1, 2, 3)),
        *("metrics.json", "plan.json", "predictions.csv"),
    }
