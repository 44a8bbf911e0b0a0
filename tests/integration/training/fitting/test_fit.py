"""A fit leaves a whole artifact, the published networks are the published ones, and a seed decides the outcome."""

import csv
import shutil
import zipfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import h5py
import keras
import numpy as np
import pytest

import training.fitting.fit
from edge_runtime.bundle.policy import Head
from edge_runtime.bundle.spec import ModelSpec
from training.artifact import Artifact
from training.data.datasets import Dataset, Sample, idc
from training.data.splits import Part, read_split, select
from training.data.tensors import Tensors, load_tensors
from training.errors import ArtifactError, DatasetError, RecipeError
from training.fitting.fit import fit
from training.recipes import RECIPES, find_recipe
from training.recipes.idc_patch import IDC_PATCH, network
from training.recipes.recipe import Adam, Plateau

FILES = {"model.keras", "spec.json", "split.csv", "history.csv", "metrics.json"}
PHANTOM = find_recipe("phantom-patch")


@pytest.fixture(scope="module")
def fitted(phantom_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    """Two epochs."""
    return fit(PHANTOM, phantom_data, tmp_path_factory.mktemp("fit") / "artifact", epochs=2)


def _history(folder: Path) -> list[dict[str, str]]:
    with (folder / "history.csv").open(newline="") as lines:
        return list(csv.DictReader(lines))


def test_an_artifact_holds_its_five_files_and_each_reads_back(fitted: Artifact, phantom_data: Path) -> None:
    assert {path.name for path in fitted.folder.iterdir()} == FILES
    assert fitted.spec() == PHANTOM.spec
    measured = fitted.measured()
    subjects = [(e.part, e.subject) for e in measured.evaluations]
    assert subjects == [("validation", "keras"), ("validation", "baseline"), ("test", "keras"), ("test", "baseline")]
    dataset, split = idc.load(phantom_data), fitted.split()
    counted = {part.value: len(select(dataset.samples, split, part)) for part in Part}
    assert measured.training.images == counted | {"refused": 0, "contradicted": 0}
    assert measured.training.groups == {p.value: sum(v is p for v in split.values()) for p in Part}
    assert (measured.training.recipe, measured.training.epochs) == ("phantom-patch", 2)
    assert "not installed" not in measured.training.versions.values(), measured.training.versions


def test_the_history_has_one_line_an_epoch(fitted: Artifact) -> None:
    rows = _history(fitted.folder)
    assert [row["epoch"] for row in rows] == ["0", "1"]
    assert fitted.epochs() == 2
    assert all(np.isfinite(float(row["val_loss"])) for row in rows)


def test_the_model_file_holds_no_optimiser_and_loads_with_keras_alone(fitted: Artifact) -> None:
    model = keras.models.load_model(fitted.model_path, compile=False)
    assert model.count_params() == PHANTOM.network().count_params()
    with zipfile.ZipFile(fitted.model_path) as archive, h5py.File(archive.open("model.weights.h5")) as weights:
        sizes: list[int] = []
        weights.visititems(lambda _, item: sizes.append(item.size) if isinstance(item, h5py.Dataset) else None)
    spare = sum(sizes) - model.count_params()
    assert spare <= 2, f"{spare} numbers beside the weights; Adam would keep {2 * model.count_params()}"


@pytest.mark.parametrize("name", ["idc-patch", "phantom-patch"])
def test_a_recipes_outputs_are_the_sigmoid_of_its_layer_logits(name: str) -> None:
    keras.utils.set_random_seed(0)
    model = RECIPES[name].network()
    width, height = RECIPES[name].spec.size_px
    tensors = np.random.default_rng(0).random((4, height, width, 3), dtype=np.float32)
    both = keras.Model(model.inputs, [model.get_layer("logits").output, model.output])
    logits, scores = both.predict(tensors, verbose=0)
    assert RECIPES[name].spec.head is Head.INDEPENDENT_SIGMOIDS
    assert logits.shape == (4, RECIPES[name].spec.outputs)
    np.testing.assert_allclose(scores, 1 / (1 + np.exp(-logits.astype(np.float64))), atol=1e-6)


def test_the_saved_weights_are_those_that_the_figures_were_measured_with(fitted: Artifact, phantom_data: Path) -> None:
    model = keras.models.load_model(fitted.model_path, compile=False)
    samples = select(idc.load(phantom_data).samples, fitted.split(), Part.TEST)
    tensors = load_tensors(samples, PHANTOM.spec, label="test")
    called = model.predict(tensors.images, verbose=0).argmax(axis=1)
    figure = next(e for e in fitted.measured().evaluations if (e.part, e.subject) == ("test", "keras"))
    assert figure.figure("accuracy").value == round(float((called == tensors.labels).mean()), 4)


def test_a_seed_decides_the_split_and_the_first_epoch(fitted: Artifact, phantom_artifact: Path) -> None:
    """The other artifact was fitted on the same phantoms, for more epochs."""
    assert (fitted.folder / "split.csv").read_bytes() == (phantom_artifact / "split.csv").read_bytes()
    ours, theirs = _history(fitted.folder)[0], _history(phantom_artifact)[0]
    for column in ("loss", "val_loss"):
        found = abs(float(ours[column]) - float(theirs[column]))
        assert found <= 1e-4, f"{column}: {ours[column]} and {theirs[column]} from one seed"


def test_a_folder_with_files_is_refused_before_a_image_is_read(
    phantom_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    monkeypatch.setattr(training.fitting.fit, "load_tensors", lambda *_, **__: pytest.fail("images were read"))
    with pytest.raises(ArtifactError, match=r"already holds files and is not overwritten\. Give another --out"):
        fit(PHANTOM, phantom_data, tmp_path, epochs=1)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_images_that_cannot_be_read_leave_nothing_in_the_way_of_a_second_try(tmp_path: Path) -> None:
    for patient in range(1, 9):
        for label in (0, 1):
            path = tmp_path / "data" / str(patient) / str(label) / f"{patient}_idx5_x1{label}_y1_class{label}.png"
            path.parent.mkdir(parents=True)
            path.write_bytes(b"no image")
    for _ in range(2):
        with pytest.raises(DatasetError, match=r"none of .* images can be read"):
            fit(PHANTOM, tmp_path / "data", tmp_path / "out", epochs=1)
    assert not (tmp_path / "out").exists() or not any((tmp_path / "out").iterdir())


def test_contradicted_images_are_tested_on_but_not_fitted_on_and_counted(
    phantom_data: Path, fitted: Artifact, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    split, whole = fitted.split(), idc.load(phantom_data)
    first = {part: [s.name for s in select(whole.samples, split, part)][:3] for part in Part}
    contradicted = frozenset(name for names in first.values() for name in names)
    dataset = replace(whole, contradicted=contradicted, grouped_by="clusters", notes=("Know this.",))
    read: dict[str, list[str]] = {}

    def recipe_data(_: Path) -> Dataset:
        return dataset

    def spy(samples: Sequence[Sample], spec: ModelSpec, *, label: str, strict: bool) -> Tensors:
        read[label] = [sample.name for sample in samples]
        return load_tensors(samples, spec, label=label, strict=strict)

    recipe = replace(PHANTOM, source=replace(PHANTOM.source, load=recipe_data))
    with pytest.MonkeyPatch.context() as patch, caplog.at_level("INFO", "training"):
        patch.setattr(training.fitting.fit, "load_tensors", spy)
        record = fit(recipe, phantom_data, tmp_path / "a", epochs=1).measured().training
    for part in (Part.TRAIN, Part.VALIDATION):
        assert not set(first[part]) & set(read[part.value]), part
    assert set(first[Part.TEST]) <= set(read["test"])
    assert record.images["contradicted"] == 6
    assert sum(record.images.values()) == len(whole.samples)
    assert record.split == "by clusters, stratified, seed 1; 20% validation, 20% test"
    warning = "6 images are left out of fitting: each is a near copy of an image with another label"
    said = [(line.levelname, line.message) for line in caplog.records if line.name == "training.fitting.fit"]
    assert said == [("INFO", dataset.summary()), ("INFO", "Know this."), ("WARNING", warning)]


def test_strict_refuses_a_image_that_cannot_be_read_and_leaves_nothing_behind(
    phantom_data: Path, tmp_path: Path
) -> None:
    shutil.copytree(phantom_data, tmp_path / "data")
    sorted((tmp_path / "data").rglob("*.png"))[7].write_bytes(b"no image")
    with pytest.raises(DatasetError, match=r"1 of \d+ images cannot be read, expected none: .*drop --strict"):
        fit(PHANTOM, tmp_path / "data", tmp_path / "out", epochs=1, strict=True)
    assert not any((tmp_path / "out").iterdir())


def test_a_split_written_by_a_fit_covers_every_patient_of_the_data(fitted: Artifact, phantom_data: Path) -> None:
    split = read_split(fitted.folder / "split.csv")
    assert set(split) == {sample.group for sample in idc.load(phantom_data).samples}


def test_the_idc_network_is_the_published_one_layer_by_layer() -> None:
    model = network()
    assert model.count_params() == 1_664_898
    assert model.input_shape == (None, 50, 50, 3)
    block = ["Conv2D", "BatchNormalization"] * 3 + ["MaxPooling2D", "Dropout"]
    head = ["Flatten", "Dense", "BatchNormalization", "Dropout", "Dense", "Activation"]
    layers = model.layers[1:]
    assert [type(layer).__name__ for layer in layers] == block * 3 + head
    convolutions = [layer for layer in layers if isinstance(layer, keras.layers.Conv2D)]
    assert [c.filters for c in convolutions] == [32] * 3 + [64] * 3 + [128] * 3
    for c in convolutions:
        assert (c.kernel_size, c.strides, c.padding, c.activation.__name__) == ((3, 3), (1, 1), "same", "relu")
        assert c.kernel_initializer.__class__.__name__ == "HeUniform"
    assert [d.rate for d in layers if isinstance(d, keras.layers.Dropout)] == [0.25, 0.3, 0.3, 0.3]
    assert [p.pool_size for p in layers if isinstance(p, keras.layers.MaxPooling2D)] == [(2, 2)] * 3
    dense = [layer for layer in layers if isinstance(layer, keras.layers.Dense)]
    assert [(d.units, d.activation.__name__) for d in dense] == [(256, "relu"), (2, "linear")]
    assert layers[-1].activation.__name__ == "sigmoid"


def test_the_idc_recipe_trains_as_published() -> None:
    plan = IDC_PATCH.plan
    assert (plan.loss.value, plan.optimiser, plan.batch, plan.epochs) == ("binary_crossentropy", Adam(1e-3), 64, 60)
    assert (plan.stop_patience, plan.plateau) == (10, Plateau(factor=0.5, patience=3, min_rate=1e-5))
    assert plan.balance
    claims = {claim.name: claim.value for claim in IDC_PATCH.claims}
    assert (claims["accuracy"], claims["precision"], claims["recall"]) == (0.8890, 0.8790, 0.9021)
    assert (claims["coverage at confidence 0.8"], claims["accuracy at confidence 0.8"]) == (0.8003, 0.9438)


def test_an_unknown_recipe_is_refused_with_those_that_there_are() -> None:
    with pytest.raises(RecipeError, match=r"found recipe 'vgg', expected one of .*idc-patch, .*phantom-patch"):
        find_recipe("vgg")
