"""One site is left out of each fold, and its figures are kept in the artifact, its bundle and the model card."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from sklearn.metrics import roc_auc_score

import training.experiments.cross_validation
import training.metrics.evaluation
from export.source.source import from_artifact
from training.artifact import Artifact
from training.cli.crossvalidate import crossvalidate as crossvalidate_command
from training.cli.decide import decide as decide_command
from training.cli.evaluate import evaluate as evaluate_command
from training.data.datasets import Dataset, idc
from training.data.tensors import Tensors
from training.errors import ArtifactError, DatasetError
from training.experiments.cross_validation import crossvalidate
from training.experiments.never_seen import read_never_seen
from training.experiments.predictions import read_predictions
from training.policy.policy import PolicyTarget
from training.recipes import RECIPES
from training.recipes.phantom_patch import PHANTOM_PATCH
from training.recipes.recipe import Recipe

YOUDEN = PolicyTarget(youden=True)
Seen = list[tuple[Tensors, Tensors]]


def load_sited(root: Path) -> Dataset:
    """The phantoms of 20 patients, from three sites; the second site has two scanners."""
    dataset = idc.load(root)
    turn = {group: i for i, group in enumerate(sorted({s.group for s in dataset.samples}))}
    places = (("Brazil", "A"), ("Brazil", "A"), ("Egypt", "B"), ("Egypt", "C"), ("Poland", "D"))
    place = {s.name: places[turn[s.group] % 5] for s in dataset.samples}
    return replace(dataset, traits={n: (("site", site), ("scanner", scanner)) for n, (site, scanner) in place.items()})


@pytest.fixture(autouse=True)
def sited(monkeypatch: pytest.MonkeyPatch) -> Recipe:
    """The phantom recipe on data with sites; intervals are tested elsewhere."""
    monkeypatch.setattr(training.metrics.evaluation, "RESAMPLES", 20)
    recipe = replace(PHANTOM_PATCH, source=replace(PHANTOM_PATCH.source, load=load_sited))
    monkeypatch.setitem(RECIPES, "phantom-patch", recipe)
    return recipe


@pytest.fixture
def left_out(phantom_data: Path, tmp_path: Path, sited: Recipe, seen: Seen) -> Callable[[str], Path]:
    """Return a function from a trait to the folder of its finished cross-validation."""

    def run(trait: str) -> Path:
        crossvalidate(sited, phantom_data, tmp_path / trait, leave_out=trait)
        return tmp_path / trait

    return run


@pytest.mark.parametrize(("trait", "values"), [("site", ("Brazil", "Egypt", "Poland")), ("scanner", tuple("ABCD"))])
def test_no_image_of_a_value_is_fitted_on_in_its_fold(
    phantom_data: Path, tmp_path: Path, sited: Recipe, seen: Seen, trait: str, values: tuple[str, ...]
) -> None:
    traits = load_sited(phantom_data).traits
    measured = crossvalidate(sited, phantom_data, tmp_path / "out", leave_out=trait)
    assert (measured.plan.trait, measured.plan.values, measured.plan.folds) == (trait, values, len(values))
    for turn, (value, (train, validation)) in enumerate(zip(values, seen, strict=True), start=1):
        folder = tmp_path / "out" / f"fold-{turn}"
        tested, validated = (read_predictions(folder / f"{name}.csv") for name in ("predictions", "validation"))
        assert {dict(traits[p.name])[trait] for p in tested} == {value}
        assert value not in {dict(traits[s.name])[trait] for s in (*train.samples, *validation.samples)}
        assert [p.name for p in validated] == [s.name for s in validation.samples]
        assert not set(train.groups) & set(validation.groups)
    assert measured.evaluations[0].images == 320
    assert measured.evaluations[0].part == f"each {trait} in turn"
    assert measured.sites is not None
    assert [(f.trait, f.value, f.never_seen) for f in measured.sites] == [(trait, v, True) for v in ("all", *values)]


def test_a_finished_fold_is_not_fitted_again(
    phantom_data: Path, sited: Recipe, seen: Seen, left_out: Callable[[str], Path]
) -> None:
    out = left_out("site")
    first = (out / "metrics.json").read_bytes()
    for name in ("metrics.json", "predictions.csv", "fold-2/predictions.csv"):
        (out / name).unlink()
    crossvalidate(sited, phantom_data, out, leave_out="site", resume=True)
    assert len(seen) == 4
    assert set(seen[3][0].groups) == set(seen[1][0].groups)
    assert json.loads((out / "metrics.json").read_bytes())["plan"] == json.loads(first)["plan"]
    with pytest.raises(ArtifactError, match=r"found folds 3, .*expected"):
        crossvalidate(sited, phantom_data, out, leave_out="scanner", resume=True)


def test_cutoffs_are_fitted_on_each_folds_own_validation_patients(left_out: Callable[[str], Path]) -> None:
    folder = left_out("site")
    for turn, fold in enumerate(read_never_seen(folder, PHANTOM_PATCH.spec, YOUDEN), start=1):
        tested = read_predictions(folder / f"fold-{turn}" / "predictions.csv")
        assert fold.names == tuple(p.name for p in tested)
        assert fold.cutoff == fold.outcome.spec.policy.cutoff
    changed = read_never_seen(folder, PHANTOM_PATCH.spec, PolicyTarget(sensitivity=1.0))
    assert all(one.cutoff is not None for one in changed)


def test_a_fold_whose_validation_patients_have_one_label_has_no_cutoff(left_out: Callable[[str], Path]) -> None:
    folder = left_out("site")
    path = folder / "fold-1" / "validation.csv"
    path.write_text(path.read_text(encoding="utf-8").replace(",malignant,", ",benign,"), encoding="utf-8")
    first, *others = read_never_seen(folder, PHANTOM_PATCH.spec, YOUDEN)
    assert first.cutoff is None
    assert first.outcome.spec.policy == PHANTOM_PATCH.spec.policy
    assert all(fold.cutoff is not None for fold in others)


def test_the_command_prints_never_seen_figures_and_refuses_both_kinds_of_folds(
    phantom_data: Path, tmp_path: Path, seen: Seen
) -> None:
    given = ["phantom-patch", "--data", str(phantom_data), "--out", str(tmp_path / "out"), "--leave-out", "site"]
    done = CliRunner().invoke(crossvalidate_command, [*given, "--folds", "5"])
    assert done.exit_code == 2
    assert "expected one of them" in done.stderr
    done = CliRunner().invoke(crossvalidate_command, given, catch_exceptions=False)
    assert done.exit_code == 0
    lines = done.stdout.splitlines()
    assert lines[0] == "by site, never seen (fitted without it)"
    assert [line.split(" (")[0] for line in lines[1:5]] == [
        f"  site: {value}" for value in ("all", "Brazil", "Egypt", "Poland")
    ]
    assert "fold 1 of 3 without Brazil: train " in done.stderr
    assert len(seen) == 3


def test_a_data_set_without_the_trait_is_refused_before_anything_is_written(
    phantom_data: Path, tmp_path: Path, sited: Recipe
) -> None:
    with pytest.raises(DatasetError, match=r"found no trait probe .* scanner, site"):
        crossvalidate(sited, phantom_data, tmp_path / "out", leave_out="probe")
    assert not (tmp_path / "out").exists()


def test_folders_that_do_not_fit_are_refused(
    phantom_data: Path, tmp_path: Path, sited: Recipe, seen: Seen, left_out: Callable[[str], Path]
) -> None:
    spec = PHANTOM_PATCH.spec
    with pytest.raises(ArtifactError, match="found no finished cross-validation"):
        read_never_seen(tmp_path / "none", spec, YOUDEN)
    crossvalidate(sited, phantom_data, tmp_path / "folds", folds=3)
    assert not list((tmp_path / "folds").rglob("validation.csv"))
    assert '"trait"' not in (tmp_path / "folds" / "plan.json").read_text(encoding="utf-8")
    assert '"sites"' not in (tmp_path / "folds" / "metrics.json").read_text(encoding="utf-8")
    with pytest.raises(ArtifactError, match="found folds by group, expected folds that leave out a trait"):
        read_never_seen(tmp_path / "folds", spec, YOUDEN)
    folder = left_out("site")
    with pytest.raises(ArtifactError, match="found the recipe phantom-patch, expected other"):
        read_never_seen(folder, replace(spec, name="other"), YOUDEN)
    with pytest.raises(ArtifactError, match="found predictions that are not of phantom-patch"):
        read_never_seen(folder, replace(spec, labels=("benign", "cancer"), positive=("cancer",)), YOUDEN)


def test_decide_keeps_the_figures_and_evaluate_and_export_carry_them(
    phantom_data: Path, phantom_artifact: Path, tmp_path: Path, left_out: Callable[[str], Path]
) -> None:
    decided = tmp_path / "decided"
    options = ["--data", str(phantom_data), "--out", str(decided), "--youden"]
    for trait in ("site", "scanner"):
        options += ["--never-seen", str(left_out(trait))]
    done = CliRunner().invoke(decide_command, [str(phantom_artifact), *options], catch_exceptions=False)
    assert done.exit_code == 0, done.stderr
    sites = Artifact(decided).measured().sites
    assert sites is not None
    never_seen = [found for found in sites if found.never_seen]
    assert [f"{f.trait} {f.value}" for f in never_seen] == [
        *("site all", "site Brazil", "site Egypt", "site Poland"),
        *("scanner all", "scanner A", "scanner B", "scanner C", "scanner D"),
    ]
    assert list(sites[: len(never_seen)]) == never_seen
    in_site = sites[len(never_seen) :]
    assert {f.cutoff for f in in_site} == {Artifact(decided).spec().policy.cutoff}
    brazil = never_seen[1]
    predictions = read_predictions(tmp_path / "site" / "fold-1" / "predictions.csv")
    (fold, *_) = read_never_seen(tmp_path / "site", PHANTOM_PATCH.spec, YOUDEN)
    truth = np.array([p.label == "malignant" for p in predictions])
    assert brazil.figures[0].value == pytest.approx(roc_auc_score(truth, fold.outcome.positive), abs=1e-4)
    ours = next((f for f in in_site if f.value == "Brazil"), None)
    if ours is not None and ours.figures[0].name == "auroc":
        assert brazil.shift is not None
        assert brazil.shift.value == pytest.approx(brazil.figures[0].value - ours.figures[0].value, abs=2e-4)
    assert any(f.shift is not None for f in never_seen)
    assert "by site and scanner, never seen (fitted without it)" in done.stdout

    assert from_artifact(Artifact(decided), None).sites == sites
    given = [str(decided), "--data", str(phantom_data)]
    printed = CliRunner().invoke(evaluate_command, given, catch_exceptions=False).stdout.splitlines()
    assert printed[0] == "by site and scanner, never seen (fitted without it)"
    assert "in-site (held-out patients)" in printed[1 + len(never_seen)]
    document = json.loads(CliRunner().invoke(evaluate_command, [*given, "--json"], catch_exceptions=False).stdout)
    assert [f["never_seen"] for f in document["sites"]].index(False) == len(never_seen)

    again = tmp_path / "again"  # another policy without folders: the kept figures would be of the old one
    arguments = [str(decided), "--data", str(phantom_data), "--out", str(again), "--sensitivity", "0.9"]
    assert CliRunner().invoke(decide_command, arguments, catch_exceptions=False).exit_code == 0
    assert Artifact(again).measured().sites is None


def test_decide_refuses_two_folders_of_one_trait_and_other_images(
    phantom_data: Path,
    phantom_artifact: Path,
    tmp_path: Path,
    left_out: Callable[[str], Path],
    sited: Recipe,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    folder = left_out("site")
    options = [str(phantom_artifact), "--data", str(phantom_data), "--never-seen", str(folder), "--youden"]
    twice = CliRunner().invoke(decide_command, [*options, "--out", str(tmp_path / "a"), "--never-seen", str(folder)])
    assert isinstance(twice.exception, ArtifactError)
    assert "found two cross-validations that leave out site" in str(twice.exception)
    path = folder / "fold-1" / "predictions.csv"
    text = path.read_text(encoding="utf-8").splitlines()
    path.write_text("\n".join([text[0], f"other{text[1]}", *text[2:]]) + "\n", encoding="utf-8")
    other = CliRunner().invoke(decide_command, [*options, "--out", str(tmp_path / "b")])
    assert isinstance(other.exception, ArtifactError)
    assert "found 1 predictions of images, patients or labels that are not in the data" in str(other.exception)
