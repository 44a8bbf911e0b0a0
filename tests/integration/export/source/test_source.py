"""Models made elsewhere: what is loaded, what is refused and why, and where their images come from."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np
import pytest
from keras import layers
from PIL import Image

from edge_runtime.bundle.spec import ModelSpec
from edge_runtime.errors import ManifestError
from edge_runtime.serialisation.records import to_dict
from export.errors import CalibrationError, ExportError
from export.quantisation.equalisation import write_equalised
from export.source.keras_model import load_to_logits, write_network
from export.source.saved_models import load
from export.source.source import from_model
from training.recipes.phantom_patch import SPEC

IMAGES = np.random.default_rng(0).random((6, 8, 8, 3), dtype=np.float32)


def _branches(**options: Any) -> Any:
    """A network of the layers whose configurations Keras 2 wrote otherwise."""
    keras.utils.set_random_seed(2)
    inputs = keras.Input((8, 8, 3), **options)
    one = layers.BatchNormalization()(layers.DepthwiseConv2D(3, padding="same", activation="relu")(inputs))
    other = layers.Conv2DTranspose(4, 3, padding="same")(layers.SeparableConv2D(4, 3, padding="same")(inputs))
    x = layers.GlobalAveragePooling2D()(layers.Concatenate()([one, other]))
    return keras.Model(inputs, layers.Dense(2, activation="softmax")(x))


def _as_keras_2_wrote_it(path: Path) -> None:
    """Change an .h5 file's configuration to Keras 2.15's, key by key as found in a file that it saved."""
    with h5py.File(path, "r+") as file:
        config = json.loads(file.attrs["model_config"])
        for layer in config["config"]["layers"]:
            _add_old_keys(layer["class_name"], layer["config"])
        file.attrs["model_config"] = json.dumps(config)
        file.attrs["keras_version"] = "2.15.0"


def _add_old_keys(kind: str, config: dict[str, Any]) -> None:
    if kind in ("DepthwiseConv2D", "SeparableConv2D", "Conv2DTranspose"):
        config["groups"] = 1
    if kind == "SeparableConv2D":
        config |= {"kernel_initializer": "glorot_uniform", "kernel_regularizer": None, "kernel_constraint": None}
    if kind == "BatchNormalization":
        config["axis"] = [3]
    if kind == "InputLayer":
        config["batch_input_shape"] = config.pop("batch_shape")


@pytest.mark.parametrize("name", ["model.keras", "model.h5", "old.h5", "folder"])
def test_every_kind_of_file_gives_the_scores_of_the_model_that_was_saved(name: str, tmp_path: Path) -> None:
    model = _branches()
    expected = np.asarray(model(IMAGES))
    if name == "folder":
        model.export(tmp_path / name, verbose=False)
    else:
        model.save(tmp_path / name)
    if name == "old.h5":
        _as_keras_2_wrote_it(tmp_path / name)
    np.testing.assert_allclose(np.asarray(load(tmp_path / name)(IMAGES)), expected, atol=1e-6)


def test_keras_alone_does_not_take_what_keras_2_wrote(tmp_path: Path) -> None:
    """Otherwise the translation is no longer needed."""
    _branches().save(tmp_path / "old.h5")
    _as_keras_2_wrote_it(tmp_path / "old.h5")
    with pytest.raises(TypeError, match="Unrecognized keyword arguments"):
        keras.models.load_model(tmp_path / "old.h5", compile=False)


def _lambda(path: Path) -> None:
    inputs = keras.Input((8, 8, 3))
    x = layers.Lambda(lambda t: t * 2)(inputs)
    keras.Model(inputs, layers.Dense(2)(layers.Flatten()(x))).save(path)


def _of_keras_2(path: Path) -> None:
    _branches().save(path)
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    parts["metadata.json"] = json.dumps({"keras_version": "2.15.0"}).encode()
    parts["config.json"] = parts["config.json"].replace(b"keras.src.models.functional", b"keras.src.engine.functional")
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in parts.items():
            archive.writestr(name, data)


def _unknown_layer(path: Path) -> None:
    _branches().save(path)
    with h5py.File(path, "r+") as file:
        file.attrs["model_config"] = file.attrs["model_config"].replace('"DepthwiseConv2D"', '"Involution"')


@pytest.mark.parametrize(
    ("name", "write", "says"),
    [
        ("lambda.keras", _lambda, "found a Lambda layer, and code in a file is not run"),
        ("old.keras", _of_keras_2, r"found a .keras file of Keras 2\.15\.0"),
        ("custom.h5", _unknown_layer, "found an unknown layer, Involution"),
    ],
)
def test_what_keras_cannot_load_is_one_sentence_and_a_way_out(name: str, write: Any, says: str, tmp_path: Path) -> None:
    write(tmp_path / name)
    with pytest.raises(ExportError, match=rf"{says}.*Load it with the Keras that saved it.*model\.export") as caught:
        load(tmp_path / name)
    assert len(str(caught.value).splitlines()) == 1


def test_a_folder_without_a_saved_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match=r"found no saved_model\.pb"):
        load(tmp_path)


def _chosen(**changed: Any) -> ModelSpec:
    plain = to_dict(SPEC) | changed
    plain["steps"] = [
        {"kind": "colour", "order": "rgb"},
        {"kind": "resize", "width_px": 8, "height_px": 8, "interpolation": "area", "result": "uint8"},
        {"kind": "scale", "divisor": 255.0, "offset": 0.0},
    ]
    from edge_runtime.serialisation.records import from_dict

    return from_dict(ModelSpec, plain)


def _written(model: Path, spec: ModelSpec, folder: Path) -> tuple[Path, str]:
    """Return where the network was written, and the refusal ('' if there is none)."""
    np.save(folder / "tensors.npy", IMAGES)
    network = folder / ("network" if model.is_dir() else "network.keras")
    paths = [str(folder / name) for name in ("logits.npy", "refusal.txt")]
    write_network(str(model), str(folder / "tensors.npy"), spec, None, str(network), *paths)
    refusal = folder / "refusal.txt"
    return network, refusal.read_text(encoding="utf-8") if refusal.exists() else ""


def test_a_network_is_saved_with_its_logits(tmp_path: Path) -> None:
    model = _branches()
    model.save(tmp_path / "own.h5")
    network, refusal = _written(tmp_path / "own.h5", _chosen(head="softmax"), tmp_path)
    assert refusal == ""
    logits = np.load(tmp_path / "logits.npy")
    shares = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(shares, np.asarray(_branches()(IMAGES)), atol=1e-6)
    np.testing.assert_allclose(np.asarray(load_to_logits(str(network))(IMAGES)), logits, atol=1e-6)


def test_one_probability_of_a_saved_model_becomes_two(tmp_path: Path) -> None:
    inputs = keras.Input((8, 8, 3))
    model = keras.Model(inputs, layers.Dense(1, activation="sigmoid")(layers.Flatten()(inputs)))
    model.export(tmp_path / "own", verbose=False)
    network, refusal = _written(tmp_path / "own", _chosen(head="probabilities"), tmp_path)
    assert refusal == ""
    p = np.asarray(model(IMAGES))
    np.testing.assert_allclose(np.load(tmp_path / "logits.npy"), np.hstack([1 - p, p]), atol=1e-6)
    np.testing.assert_allclose(np.asarray(load_to_logits(str(network))(IMAGES)), np.hstack([1 - p, p]), atol=1e-6)


def test_a_saved_model_of_probabilities_is_refused_under_another_head(tmp_path: Path) -> None:
    _branches().export(tmp_path / "own", verbose=False)
    network, refusal = _written(tmp_path / "own", _chosen(head="softmax"), tmp_path)
    assert "found head softmax, expected probabilities. Set head probabilities" in refusal
    assert not network.exists()


def test_a_contradiction_writes_a_refusal_and_no_network(tmp_path: Path) -> None:
    _branches().save(tmp_path / "own.keras")
    network, refusal = _written(tmp_path / "own.keras", _chosen(head="independent_sigmoids"), tmp_path)
    assert refusal.startswith(f"{tmp_path / 'own.keras'}: the network ends with softmax; found head independent")
    assert not network.exists()


def test_a_network_of_any_size_is_fixed_to_the_specs(tmp_path: Path) -> None:
    inputs = keras.Input((None, None, 3))
    x = layers.GlobalAveragePooling2D()(layers.Conv2D(4, 3)(inputs))
    keras.Model(inputs, layers.Dense(2, activation="softmax")(x)).save(tmp_path / "own.keras")
    network, refusal = _written(tmp_path / "own.keras", _chosen(head="softmax"), tmp_path)
    assert (refusal, load_to_logits(str(network)).input_shape) == ("", (None, 8, 8, 3))


def _norm_used_twice(x: Any) -> Any:
    norm = layers.BatchNormalization()(layers.Conv2D(4, 3, padding="same", activation="relu")(x))
    return layers.Conv2D(4, 3, padding="same")(norm) + norm * 2.0


def _norm_without_factors(x: Any) -> Any:
    norm = layers.BatchNormalization(scale=False, center=False)
    return layers.Conv2D(4, 3)(norm(layers.Conv2D(4, 3, activation="relu")(x)))


def _grouped(x: Any) -> Any:
    return layers.Conv2D(4, 3, groups=2)(layers.BatchNormalization()(layers.Conv2D(4, 3, activation="relu")(x)))


def _norm_first(x: Any) -> Any:
    return layers.Conv2D(4, 3)(layers.BatchNormalization()(x))


@pytest.mark.parametrize("body", [_norm_used_twice, _norm_without_factors, _grouped, _norm_first])
def test_a_network_that_cannot_be_rewritten_for_int8_stays_as_it_is(body: Any, tmp_path: Path) -> None:
    keras.utils.set_random_seed(4)
    inputs = keras.Input((8, 8, 3))
    model = keras.Model(inputs, layers.Dense(2)(layers.GlobalAveragePooling2D()(body(inputs))))
    model.save(tmp_path / "own.keras")
    np.save(tmp_path / "tensors.npy", IMAGES)
    write_equalised(str(tmp_path / "own.keras"), str(tmp_path / "tensors.npy"), str(tmp_path / "same.keras"))
    same = keras.models.load_model(tmp_path / "same.keras")
    np.testing.assert_array_equal(np.asarray(same(IMAGES)), np.asarray(model(IMAGES)))


def _images(folder: Path, first: int, count: int) -> Path:
    folder.mkdir()
    for i in range(first, first + count):
        pixels = np.random.default_rng(i).integers(0, 256, (24, 24, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{i:03}.png")
    return folder


@pytest.fixture
def own(tmp_path: Path) -> tuple[Path, Path]:
    """A file that passes for a model where none is opened, and a spec."""
    model, spec = tmp_path / "own.keras", tmp_path / "spec.json"
    model.write_bytes(b"")
    spec.write_text(json.dumps(to_dict(_chosen())), encoding="utf-8")
    return model, spec


def test_parity_is_measured_on_images_that_calibration_never_saw(own: tuple[Path, Path], tmp_path: Path) -> None:
    ranges, judged = _images(tmp_path / "cal", 0, 32), _images(tmp_path / "par", 100, 33)
    source = from_model(*own, judged, None)
    assert (source.training, source.evaluations) == (None, ())
    first, second = source.images(ranges)
    assert (len(first.tensors), len(second.tensors)) == (32, 33)
    assert second.source == "33 images in par, which calibration never saw"
    alone = from_model(*own, None, None).images(ranges)
    assert alone[0] is alone[1]


@pytest.mark.parametrize(("first", "count", "says"), [(0, 31, "31 images for parity"), (20, 40, "12 of 40 images")])
def test_parity_images_that_prove_nothing_are_refused(
    own: tuple[Path, Path], tmp_path: Path, first: int, count: int, says: str
) -> None:
    ranges, judged = _images(tmp_path / "cal", 0, 32), _images(tmp_path / "par", first, count)
    with pytest.raises(CalibrationError, match=says):
        from_model(*own, judged, None).images(ranges)


def test_a_parity_folder_that_is_not_there_is_named(own: tuple[Path, Path], tmp_path: Path) -> None:
    with pytest.raises(CalibrationError, match="absent: found no folder, expected images for parity"):
        from_model(*own, tmp_path / "absent", None).images(_images(tmp_path / "cal", 0, 32))


def test_an_unknown_key_in_a_spec_is_refused_by_its_path(own: tuple[Path, Path]) -> None:
    plain = json.loads(own[1].read_text())
    plain["policy"]["cut_off"] = 0.5
    own[1].write_text(json.dumps(plain))
    with pytest.raises(ManifestError, match=r"spec\.json\.policy: found unknown key 'cut_off'"):
        from_model(*own, None, None)


def test_a_spec_that_is_not_there_is_refused_with_the_command_that_makes_one(own: tuple[Path, Path]) -> None:
    with pytest.raises(ExportError, match="python -m export spec --from-recipe NAME"):
        from_model(own[0], own[1].with_name("absent.json"), None, None)


def test_a_model_that_is_not_there_or_is_an_artifact_is_refused(own: tuple[Path, Path], phantom_artifact: Path) -> None:
    with pytest.raises(
        ExportError, match=r"gone\.h5: found none, expected a file .keras, .h5, .onnx or .tflite, or a SavedModel"
    ):
        from_model(own[0].with_name("gone.h5"), own[1], None, None)
    with pytest.raises(ExportError, match="found a training artifact, which needs no --spec"):
        from_model(phantom_artifact, own[1], None, None)


@pytest.mark.parametrize("ending", [".keras", ".h5"])
def test_a_layer_that_keras_cannot_read_back_itself_is_loaded(ending: str, tmp_path: Path) -> None:
    image = keras.Input((8, 8, 3))
    model = keras.Model(image, layers.Dense(2)(layers.Flatten()(layers.RandomShear(0.1, 0.2)(image))))
    model.save(tmp_path / f"m{ending}")
    found = load(tmp_path / f"m{ending}")
    np.testing.assert_array_equal(found.predict(IMAGES, verbose=0), model.predict(IMAGES, verbose=0))
