"""What is equal in a .tflite file stands in it once; graphs are for one image; nothing else changes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from keras import layers

from export.converters import tflite_file, to_tflite
from export.converters.flatbuffer import packed
from tests.integration.export.networks import SIDE, branches, convert, dots, logits, operators
from tests.places import ROOT

IMAGES = dots(4, seed=2)
DEAD = {"SHAPE", "PACK", "GATHER", "REDUCE_PROD", "STRIDED_SLICE"}
CHANNELS = 64
COMMITTED = sorted(
    path
    for place in ("edge_runtime/bundles/*", "training/models/*/bundle", "tests/data/*")
    for path in ROOT.glob(f"{place}/*.tflite")
)


def _shuffled(x: Any) -> Any:
    """ShuffleNet's channel shuffle."""
    x = layers.Reshape((SIDE, SIDE, 2, 6))(layers.Conv2D(12, 3, padding="same")(x))
    return layers.Reshape((SIDE, SIDE, 12))(layers.Permute((1, 2, 4, 3))(x))


BODIES: dict[str, Callable[[Any], Any]] = {
    "a dense layer on a map": lambda x: layers.Dense(5, activation="relu")(x),
    "a shuffle of channels": _shuffled,
}


def _opened(path: Path) -> Any:
    return schema.ModelT.InitFromPackedBuf(path.read_bytes(), 0)


@pytest.fixture(scope="module")
def int8(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file as the quantiser writes it, with many channels, so that zero points weigh something."""
    folder = tmp_path_factory.mktemp("flatbuffer")
    keras.utils.set_random_seed(2)
    image = keras.Input((SIDE, SIDE, 3))
    x = layers.Conv2D(CHANNELS, 3, activation="relu", bias_initializer="random_normal", name="first")(image)
    x = layers.Conv2D(CHANNELS, 1, activation="relu", bias_initializer="random_normal")(x)
    keras.Model(image, layers.Dense(2)(layers.GlobalAveragePooling2D()(x))).save(folder / "model.keras")
    np.save(folder / "ranges.npy", dots(40, seed=0))
    names = ("model.keras", "ranges.npy", "calibrated.tflite", "int8.tflite")
    model, ranges, calibrated, out = (folder / name for name in names)
    convert(to_tflite.write_calibrated, model, ranges, calibrated)
    out.write_bytes(to_tflite.quantise(calibrated))
    return out


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
@pytest.mark.parametrize("folder", [False, True], ids=["keras", "SavedModel"])
def test_no_shape_is_computed_in_the_file(body: Callable[[Any], Any], folder: bool, tmp_path: Path) -> None:
    keras.utils.set_random_seed(3)
    image = keras.Input((SIDE, SIDE, 3))
    model = keras.Model(image, layers.Dense(2)(layers.Flatten()(body(image))))
    if folder:
        model.export(tmp_path / "model", verbose=False)
    else:
        model.save(tmp_path / "model.keras")
    out = tmp_path / "out.tflite"
    convert(to_tflite.write_float32, tmp_path / ("model" if folder else "model.keras"), out)
    assert not set(operators(out)) & DEAD
    assert _opened(out).subgraphs[0].tensors[0].shapeSignature is None  # nothing is of any size
    expected = np.asarray(model(IMAGES))
    np.testing.assert_allclose(logits(out, IMAGES), expected, atol=1e-5 * np.abs(expected).max())


def test_more_outputs_keep_their_order(tmp_path: Path) -> None:
    model = branches()
    maps = [layer.output for layer in model.layers if len(layer.output.shape) == 4][1:]
    several = keras.Model(model.inputs, [model.output, *maps])
    several.save(tmp_path / "model.keras")
    convert(to_tflite.write_float32, tmp_path / "model.keras", tmp_path / "out.tflite")
    found = _opened(tmp_path / "out.tflite").subgraphs[0]
    shapes = [tuple(found.tensors[index].shape[1:]) for index in found.outputs]
    assert shapes == [tuple(each.shape[1:]) for each in several.outputs]


def test_packing_changes_no_value_of_the_file_and_no_logit(int8: Path, tmp_path: Path) -> None:
    (tmp_path / "out.tflite").write_bytes(packed(_opened(int8)))
    again = tmp_path / "again.tflite"
    again.write_bytes(packed(_opened(tmp_path / "out.tflite")))
    assert again.read_bytes() == (tmp_path / "out.tflite").read_bytes()
    before, after = _opened(int8), _opened(tmp_path / "out.tflite")
    for ours, theirs in zip(after.subgraphs[0].tensors, before.subgraphs[0].tensors, strict=True):
        assert (ours.name, ours.type, ours.buffer) == (theirs.name, theirs.type, theirs.buffer)
        np.testing.assert_array_equal(ours.shape, theirs.shape)
        for field in ("scale", "zeroPoint"):
            np.testing.assert_array_equal(getattr(ours.quantization, field), getattr(theirs.quantization, field))
        np.testing.assert_array_equal(after.buffers[ours.buffer].data, before.buffers[ours.buffer].data)
    np.testing.assert_array_equal(logits(tmp_path / "out.tflite", IMAGES), logits(int8, IMAGES))


def test_zero_points_of_all_channels_stand_in_the_file_once(int8: Path, tmp_path: Path) -> None:
    found = packed(_opened(int8))
    assert int8.read_bytes().count(bytes(8 * CHANNELS)) >= 4  # of two weights and two biases
    assert found.count(bytes(8 * CHANNELS)) == 1
    assert int8.stat().st_size - len(found) > 3 * 8 * CHANNELS - 500  # less what aligning costs


def test_weights_lie_where_the_schema_wants_them(int8: Path) -> None:
    """``Buffer.data`` has ``force_align: 16``."""
    found = schema.Model.GetRootAs(packed(_opened(int8)), 0)
    buffers = [found.Buffers(index) for index in range(found.BuffersLength())]
    places = [each._tab.Vector(each._tab.Offset(4)) for each in buffers if each.DataLength()]
    assert len(places) > 5
    assert {place % 16 for place in places} == {0}


def test_a_tidied_file_names_each_tensor_once_by_its_first_layer(int8: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.tflite"
    out.write_bytes(int8.read_bytes())
    tflite_file.tidy(out)
    assert any(b";" in tensor.name for tensor in _opened(int8).subgraphs[0].tensors)
    names = [bytes(tensor.name).decode() for tensor in _opened(out).subgraphs[0].tensors]
    assert {"first_1/Relu", "first_1/Relu/bias"} <= set(names), names
    assert not [name for name in names if ";" in name or name.startswith("functional")]
    assert len(set(names)) == len(names)
    np.testing.assert_array_equal(logits(out, IMAGES), logits(int8, IMAGES))
    once = out.read_bytes()
    tflite_file.tidy(out)
    assert out.read_bytes() == once


@pytest.mark.parametrize("path", COMMITTED, ids=lambda path: f"{path.parent.name}-{path.name}")
def test_a_committed_file_names_each_tensor_once(path: Path) -> None:
    names = [bytes(tensor.name) for tensor in _opened(path).subgraphs[0].tensors]
    assert len(set(names)) == len(names)
