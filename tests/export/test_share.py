"""How much of a file has eight bits: counted by hand, and in the network that the file was made of."""

from __future__ import annotations

from math import prod
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers

from edge_runtime.bundle.manifest import Format
from export import gain
from export.formats import to_onnx, to_tflite
from export.formats.share import quantised_share
from export.int8.quantisation import Keepable, Quantisation
from tests.export.networks import SIDE, convert, dots

BY_HAND = {  # of the network below: multiply-accumulates and weights of each layer
    "wide": (SIDE * SIDE * 8 * 3 * 3 * 3, 8 * 3 * 3 * 3),
    "deep": ((SIDE - 2) ** 2 * 8 * 3 * 3, 8 * 3 * 3),
    "point": ((SIDE - 2) ** 2 * 16 * 8, 16 * 8),
    "logits": (16 * 2, 16 * 2),
}
PRODUCTS, WEIGHTS = (sum(row[i] for row in BY_HAND.values()) for i in (0, 1))


def _network() -> Any:
    keras.utils.set_random_seed(5)
    taken = keras.Input((SIDE, SIDE, 3))
    x = layers.Conv2D(8, 3, padding="same", activation="relu", name="wide")(taken)
    x = layers.DepthwiseConv2D(3, activation="relu", name="deep")(x)
    x = layers.Conv2D(16, 1, activation="relu", name="point")(x)
    return keras.Model(taken, layers.Dense(2, name="logits")(layers.GlobalAveragePooling2D()(x)))


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The network in float32 and int8, in both formats, and in int8 with 16-bit activations."""
    folder = tmp_path_factory.mktemp("share")
    _network().save(folder / "model.keras")
    np.save(folder / "ranges.npy", dots(16, seed=2))
    model, ranges = str(folder / "model.keras"), str(folder / "ranges.npy")
    names = ("float32.tflite", "calibrated.tflite", "int8.tflite", "wide.tflite", "float32.onnx", "int8.onnx")
    made = {name: folder / name for name in names}
    convert(to_tflite.write_float32, model, made["float32.tflite"])
    convert(to_tflite.write_calibrated, model, ranges, made["calibrated.tflite"])
    convert(to_tflite.write_quantised, made["calibrated.tflite"], "", "", Quantisation(), made["int8.tflite"])
    convert(to_tflite.write_wide, model, ranges, made["wide.tflite"])
    convert(to_onnx.write_float32, model, made["float32.onnx"])
    convert(to_onnx.write_prepared, made["float32.onnx"], folder / "prepared.onnx")
    arguments = (folder / "prepared.onnx", ranges, folder, "", "", Quantisation(), made["int8.onnx"])
    convert(to_onnx.write_quantised, *arguments)
    return made


def _form(name: str) -> Format:
    return Format(name.rsplit(".", 1)[1])


@pytest.mark.parametrize(
    "name, computed, stored",
    [
        ("float32.tflite", 0.0, 0.0),
        ("float32.onnx", 0.0, 0.0),
        ("int8.tflite", 1.0, 1.0),
        ("int8.onnx", 1.0, 1.0),
        ("wide.tflite", 0.0, 1.0),  # weights of 8 bits, factors of 16
    ],
)
def test_products_and_weights_are_those_counted_by_hand(
    files: dict[str, Path], name: str, computed: float, stored: float
) -> None:
    found = quantised_share(files[name], _form(name))
    assert (found.multiply_accumulates, found.weights) == (PRODUCTS, WEIGHTS)
    assert (found.computed, found.stored) == (computed, stored)


def test_weights_are_the_kernels_of_the_keras_network(files: dict[str, Path]) -> None:
    kernels = sum(prod(weight.shape) for weight in _network().trainable_weights if "kernel" in weight.path)
    assert quantised_share(files["int8.tflite"], Format.TFLITE).weights == kernels


@pytest.mark.parametrize("kept", ["wide", "point"])
def test_layers_that_stay_in_float32_do_not_count(files: dict[str, Path], kept: str, tmp_path: Path) -> None:
    from export.formats import tflite_file

    found, _ = tflite_file.layers_of(files["calibrated.tflite"])
    (name,) = [layer.name for layer in found if f"/{kept}_" in layer.name and layer.weighted][:1]
    Keepable([(name, 1.0)], [], []).write(tmp_path / "layers.json")
    how = Quantisation(float_layers=1)
    out = tmp_path / "out.tflite"
    convert(to_tflite.write_quantised, files["calibrated.tflite"], "", tmp_path / "layers.json", how, out)
    share = quantised_share(out, Format.TFLITE)
    assert share.computed == pytest.approx(1 - BY_HAND[kept][0] / PRODUCTS, abs=1e-4)
    assert share.stored == pytest.approx(1 - BY_HAND[kept][1] / WEIGHTS, abs=1e-4)


def test_a_file_with_every_layer_in_float32_is_no_gain(
    files: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gain, "times", lambda *_: (0.5, 1.0))
    larger = tmp_path / "larger.tflite"
    larger.write_bytes(files["float32.tflite"].read_bytes() + bytes(9))
    said = gain.no_gain(files["float32.tflite"], larger, Format.TFLITE, dots(1, 0))
    assert said is not None
    assert "only 0.0% of its multiply-accumulates are in 8 bits" in said
    said = gain.no_gain(larger, files["float32.tflite"], Format.TFLITE, dots(1, 0))
    assert said is not None
    assert "no smaller than float32" in said


@pytest.mark.parametrize(
    "times, refused",
    [((0.4, 1.0), False), ((1.5, 1.0), False), ((1.51, 1.0), True), ((0.1, 0.002), True), ((0.001, 0.0001), False)],
)
def test_a_file_that_is_clearly_slower_is_no_gain(
    files: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, times: tuple[float, float], refused: bool
) -> None:
    monkeypatch.setattr(gain, "times", lambda *_: times)
    large = tmp_path / "float32.tflite"
    large.write_bytes(files["float32.tflite"].read_bytes() + bytes(100_000))
    said = gain.no_gain(files["int8.tflite"], large, Format.TFLITE, dots(1, 0))
    assert (said is not None) is refused


def test_times_are_taken_in_turns_of_both_files(files: dict[str, Path]) -> None:
    mine, theirs = gain.times(files["int8.tflite"], files["int8.tflite"], Format.TFLITE, dots(1, 0))
    assert 0.2 < mine / theirs < 5, "a file beside itself"
