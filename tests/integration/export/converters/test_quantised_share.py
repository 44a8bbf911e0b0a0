"""How much of a file has eight bits: counted by hand, and in the network that the file was made of."""

from __future__ import annotations

import warnings
from collections import Counter
from dataclasses import replace
from math import prod
from pathlib import Path
from typing import Any

import keras
import numpy as np
import onnx
import onnxruntime
import pytest
from keras import layers

from edge_runtime.bundle.bundle import find, shipped
from edge_runtime.bundle.manifest import Format, QuantisedShare
from export.converters import to_onnx, to_tflite
from export.converters.quantised_share import quantised_share
from export.quantisation import gain
from export.quantisation.schemes import FloatLayerNames, Quantisation
from export.quantisation.shares import shares
from tests.integration.export.networks import SIDE, convert, dots
from tests.system_4 import BUNDLE

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
    _write_wide(Path(model), made["wide.tflite"])
    convert(to_onnx.write_float32, model, made["float32.onnx"])
    convert(to_onnx.write_prepared, made["float32.onnx"], folder / "prepared.onnx")
    arguments = (folder / "prepared.onnx", ranges, folder, "", "", Quantisation(), made["int8.onnx"])
    convert(to_onnx.write_quantised, *arguments)
    return made


def _write_wide(model: Path, out: Path) -> None:
    """Weights of 8 bits and activations of 16, which export does not write."""
    import tensorflow as tf

    converter = tf.lite.TFLiteConverter.from_keras_model(keras.models.load_model(model))
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: ([tensor[np.newaxis]] for tensor in dots(4, seed=2))
    converter.target_spec.supported_ops = [tf.lite.OpsSet.EXPERIMENTAL_TFLITE_BUILTINS_ACTIVATIONS_INT16_WEIGHTS_INT8]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        out.write_bytes(converter.convert())


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
    from export.converters import tflite_file

    found, _ = tflite_file.layers_of(files["calibrated.tflite"])
    (name,) = [layer.name for layer in found if f"/{kept}_" in layer.name and layer.weighted][:1]
    FloatLayerNames([(name, 1.0)], [], []).write(tmp_path / "layers.json")
    how = Quantisation(float_layers=1)
    out = tmp_path / "out.tflite"
    convert(to_tflite.write_quantised, files["calibrated.tflite"], "", tmp_path / "layers.json", how, out)
    share = quantised_share(out, Format.TFLITE)
    assert share.computed == pytest.approx(1 - BY_HAND[kept][0] / PRODUCTS, abs=1e-4)
    assert share.stored == pytest.approx(1 - BY_HAND[kept][1] / WEIGHTS, abs=1e-4)


def test_a_file_with_every_layer_in_float32_is_no_gain(files: dict[str, Path], tmp_path: Path) -> None:
    larger = tmp_path / "larger.tflite"
    larger.write_bytes(files["float32.tflite"].read_bytes() + bytes(9))
    said = gain.no_share(files["float32.tflite"], larger, Format.TFLITE)
    assert said is not None
    assert "only 0.0% of its multiply-accumulates are in 8 bits" in said
    assert gain.no_share(files["int8.tflite"], larger, Format.TFLITE) is None


def test_a_file_as_large_as_float32_is_no_gain(files: dict[str, Path], tmp_path: Path) -> None:
    padded = tmp_path / "padded.tflite"
    size = files["float32.tflite"].stat().st_size
    padded.write_bytes(files["int8.tflite"].read_bytes().ljust(size, b"\0"))
    said = gain.no_share(padded, files["float32.tflite"], Format.TFLITE)
    assert said == f"with {size:,} bytes no smaller than float32, which has {size:,}"
    padded.write_bytes(files["int8.tflite"].read_bytes().ljust(size - 1, b"\0"))
    assert gain.no_share(padded, files["float32.tflite"], Format.TFLITE) is None


@pytest.mark.parametrize(
    "times, said",
    [
        ((0.4, 1.0), None),
        ((1.5, 1.0), None),
        ((1.51, 1.0), "more than 1.5 times"),
        ((48.9, 1.0), "more than 20 times"),
        ((0.1, 0.002), "more than 20 times"),
        ((0.001, 0.0001), None),
    ],
)
def test_a_file_that_is_clearly_slower_is_no_gain(
    files: dict[str, Path], monkeypatch: pytest.MonkeyPatch, times: tuple[float, float], said: str | None
) -> None:
    monkeypatch.setattr(gain, "times", lambda *_: times)
    found = gain.too_slow(files["int8.tflite"], files["float32.tflite"], Format.TFLITE, dots(1, 0))
    assert (found is None) if said is None else found is not None and said in found


def test_times_are_taken_in_turns_of_both_files(files: dict[str, Path]) -> None:
    mine, theirs = gain.times(files["int8.tflite"], files["int8.tflite"], Format.TFLITE, dots(1, 0))
    assert 0.2 < mine / theirs < 5, "a file beside itself"


def _every_kind() -> Any:
    """A network with every kind of layer that is counted, and shapes that the ONNX file computes for itself."""
    keras.utils.set_random_seed(3)
    taken = keras.Input((16, 16, 3))
    x = layers.Conv2D(8, 3, padding="same", activation="relu")(taken)
    x = layers.Conv2D(8, 3, padding="same", groups=4, activation="relu")(x)
    y = layers.Conv2D(8, 3, strides=2, padding="same", activation="relu")(x)
    y = layers.Conv2DTranspose(8, 3, strides=2, padding="same", activation="relu")(y)
    y = layers.Conv2D(4, 3, strides=2, activation="relu")(layers.UpSampling2D(2)(y))
    x = layers.Concatenate()([x, layers.ZeroPadding2D(((0, 1), (0, 1)))(y)])
    x = layers.SeparableConv2D(16, 3, padding="same", activation="relu")(x)
    x = layers.Reshape((64, 64))(x)
    x = layers.Flatten()(layers.Dot((2, 2))([layers.Dense(8)(x), layers.Dense(8)(x)]))
    return keras.Model(taken, layers.Dense(2)(x))


TRANSPOSED = 8 * 8 * 8 * 8 * 3 * 3
EVERY_KIND = (
    *(16 * 16 * 8 * 27, 16 * 16 * 8 * 2 * 9, 8 * 8 * 8 * 72, TRANSPOSED, 15 * 15 * 4 * 72),
    *(16 * 16 * 12 * 9, 16 * 16 * 16 * 12, 64 * 64 * 8, 64 * 64 * 8, 64 * 64 * 8, 4096 * 2),
)


@pytest.fixture(scope="module")
def every_kind(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("kinds")
    model, ranges, prepared = folder / "model.keras", folder / "ranges.npy", folder / "prepared.onnx"
    _every_kind().save(model)
    np.save(ranges, np.random.default_rng(0).random((8, 16, 16, 3), dtype=np.float32))
    names = ("float32.tflite", "calibrated.tflite", "int8.tflite", "float32.onnx", "int8.onnx")
    made = {name: folder / name for name in names}
    convert(to_tflite.write_float32, model, made["float32.tflite"])
    convert(to_tflite.write_calibrated, model, ranges, made["calibrated.tflite"])
    convert(to_tflite.write_quantised, made["calibrated.tflite"], "", "", Quantisation(), made["int8.tflite"])
    convert(to_onnx.write_float32, model, made["float32.onnx"])
    convert(to_onnx.write_prepared, made["float32.onnx"], prepared)
    convert(to_onnx.write_quantised, prepared, ranges, folder, "", "", Quantisation(), made["int8.onnx"])
    return made


@pytest.mark.parametrize("name", ["float32.tflite", "int8.tflite", "float32.onnx", "int8.onnx"])
def test_layers_of_every_kind_are_counted_whoever_computes_their_shapes(every_kind: dict[str, Path], name: str) -> None:
    found = quantised_share(every_kind[name], _form(name))
    assert found.multiply_accumulates == sum(EVERY_KIND)
    kernels = sum(prod(weight.shape) for weight in _every_kind().trainable_weights if "kernel" in weight.path)
    assert found.weights == kernels
    assert found.stored == float("int8" in name)


def _in_eight_bits(path: Path, folder: Path) -> Counter[str]:
    """Count the operators that onnxruntime makes of a file's products when it opens it."""
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath, options.log_severity_level = str(folder / "opened.onnx"), 3
    onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    kinds = (node.op_type for node in onnx.load(folder / "opened.onnx").graph.node)
    return Counter(kind for kind in kinds if any(part in kind for part in ("Conv", "Gemm", "MatMul")))


def test_what_onnxruntime_computes_in_float32_does_not_count(every_kind: dict[str, Path], tmp_path: Path) -> None:
    """It has no transposed convolution of 8 bits; the rest becomes operators of 8 bits, which it names QLinear."""
    opened = _in_eight_bits(every_kind["int8.onnx"], tmp_path)
    assert {kind for kind in opened if not kind.startswith("QLinear")} == {"ConvTranspose"}
    found = quantised_share(every_kind["int8.onnx"], Format.ONNX)
    assert found.computed == pytest.approx(1 - TRANSPOSED / sum(EVERY_KIND), abs=1e-4)


@pytest.mark.parametrize("model", [*shipped(), str(BUNDLE)])
def test_a_bundle_names_what_its_files_hold_and_what_onnxruntime_makes_of_them(model: str, tmp_path: Path) -> None:
    bundle = find(model)
    assert bundle.manifest.quantised == shares(Path(bundle.where), bundle.manifest.files)
    opened = _in_eight_bits(Path(bundle.where) / "model.int8.onnx", tmp_path)
    (found,) = [row for row in bundle.manifest.quantised if row.file == "model.int8.onnx"]
    assert (found.computed == 1.0) is all(kind.startswith(("QLinear", "QGemm")) for kind in opened)


def test_only_all_is_told_as_all_and_only_nothing_as_nothing() -> None:
    row = QuantisedShare("model.int8.onnx", 10**9, 0.9999, 10**6, 0.0001)
    assert row.text().startswith("99.9% of 1,000,000,000 multiply-accumulates and 0.1% of")
    assert (
        replace(row, computed=1.0, stored=0.0)
        .text()
        .startswith("100.0% of 1,000,000,000 multiply-accumulates and 0.0%")
    )
