"""Traps of the converters: what they write without a word, or cannot write, never becomes a file that is believed."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import onnx
import onnxruntime
import pytest
from keras import layers

from edge_runtime.errors import InterpreterBrokenError
from edge_runtime.inference.backends import onnxruntime as onnxruntime_backend
from edge_runtime.inference.backends.base import Runtime
from edge_runtime.inference.backends.registry import open_model
from export.benchmark import memory
from export.converters import to_onnx, to_tflite
from export.converters.isolation import in_own_process
from tests.integration.export.networks import SIDE, branches, convert, dots, logits

IMAGES = dots(4, seed=3)
PACKAGE = Path(to_onnx.__file__).parents[1]
WRITERS: dict[str, Callable[..., None]] = {"tflite": to_tflite.write_float32, "onnx": to_onnx.write_float32}
HOGGED_MB = 300
CONVERSION = r"(to_tflite|to_onnx|tflite_layers|onnx_layers|equalise|keras_model)\.write_\w+"


def _model(body: Callable[[Any], Any]) -> Any:
    keras.utils.set_random_seed(8)
    inputs = keras.Input((SIDE, SIDE, 3))
    return keras.Model(inputs, layers.Dense(2)(layers.Flatten()(body(inputs))))


def _captured(x: Any) -> Any:
    """Constants that are no weights of a layer: EfficientNet's Normalization and its rescaling by a list."""
    x = layers.Normalization(mean=[0.4, 0.5, 0.6], variance=[0.2, 0.3, 0.4])(x)
    return layers.Conv2D(4, 3)(layers.Rescaling([1.5, 2.5, 3.5])(x))


def _learned(x: Any) -> Any:
    norm = layers.Normalization()
    norm.adapt(dots(16, seed=4))
    return layers.Conv2D(4, 3)(norm(x))


def _depthwise(x: Any) -> Any:
    return layers.SeparableConv2D(6, 3, activation="relu")(layers.DepthwiseConv2D(3, depth_multiplier=2)(x))


def _answers_as_keras(model: Any, saved: Path, out: Path) -> None:
    convert(WRITERS[out.suffix[1:]], saved, out)
    expected = np.asarray(model(IMAGES))
    assert np.abs(expected).max() > 0.01, "weights of zero would pass"
    np.testing.assert_allclose(logits(out, IMAGES), expected, atol=1e-5)


@pytest.mark.parametrize("form", WRITERS)
@pytest.mark.parametrize("body", [_captured, _learned, _depthwise])
def test_constants_that_a_layer_captures_are_in_the_file(body: Callable[[Any], Any], form: str, tmp_path: Path) -> None:
    model = _model(body)
    model.save(tmp_path / "model.keras")
    _answers_as_keras(model, tmp_path / "model.keras", tmp_path / f"out.{form}")


@pytest.mark.parametrize("form", WRITERS)
def test_the_weights_of_a_saved_model_are_in_the_file(form: str, tmp_path: Path) -> None:
    """Its variables hang on a function that was restored: the kind of model whose weights converters lose."""
    model = branches()
    model.export(tmp_path / "model", verbose=False)
    _answers_as_keras(model, tmp_path / "model", tmp_path / f"out.{form}")


@pytest.mark.parametrize("form", WRITERS)
def test_weights_are_found_in_the_file_number_by_number(form: str, tmp_path: Path) -> None:
    """Independent of any interpreter: the last kernel's bytes, as each format orders them, stand in the file."""
    model = branches()
    model.save(tmp_path / "model.keras")
    convert(WRITERS[form], tmp_path / "model.keras", tmp_path / f"out.{form}")
    kernel = model.layers[-1].kernel.numpy()  # inputs × outputs; TFLite keeps outputs × inputs
    ordered = kernel.T if form == "tflite" else kernel
    assert np.ascontiguousarray(ordered).tobytes() in (tmp_path / f"out.{form}").read_bytes()


def test_an_operator_that_onnx_lacks_is_an_error_and_not_a_file(tmp_path: Path) -> None:
    """tf2onnx writes it into the graph and does not raise; the checker does."""
    _model(lambda x: keras.ops.erfinv(layers.Conv2D(4, 3)(x) * 0.1)).save(tmp_path / "model.keras")
    with pytest.raises(onnx.checker.ValidationError, match="Erfinv"):
        convert(to_onnx.write_float32, tmp_path / "model.keras", tmp_path / "out.onnx")
    assert not (tmp_path / "out.onnx").exists()


@pytest.mark.parametrize("form", ["tflite", "onnx"])
def test_a_grouped_convolution_answers_as_keras_does(tmp_path: Path, form: str) -> None:
    """Keras wraps it in a compiled function, which tf2onnx would leave in the graph as an operator that ONNX lacks."""
    model = _model(lambda x: layers.Conv2D(8, 3, groups=4)(layers.Conv2D(8, 3, activation="relu")(x)))
    model.save(tmp_path / "model.keras")
    _answers_as_keras(model, tmp_path / "model.keras", tmp_path / f"out.{form}")


def _direct_calls(source: str) -> list[str]:
    """Name each call ``to_onnx.write_…()`` and its like; as an argument of ``in_own_process`` it is no call."""
    called = [node.func for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call)]
    return [name for name in map(ast.unparse, called) if re.fullmatch(CONVERSION, name)]


def test_every_conversion_has_a_process_of_its_own() -> None:
    """A network of 297 MB takes 14.8 GB to convert: two in one process are one too many."""
    sources = {path.name: path.read_text(encoding="utf-8") for path in PACKAGE.rglob("*.py")}
    assert {name: calls for name, text in sources.items() if (calls := _direct_calls(text))} == {}
    assert {"pipeline.py", "conversion.py", "search.py", "matrix.py", "benchmark.py"} <= sources.keys()
    assert _direct_calls("to_onnx.write_float32(a, b)") == ["to_onnx.write_float32"]


def hog(out: str) -> None:
    """Take memory as a converter does, and tell the peak."""
    held = np.ones(HOGGED_MB * 1_000_000 // 8)
    Path(out).write_text(f"{memory.read_peak_kib(memory.STATUS)} {held.sum()}", encoding="ascii")


@pytest.mark.skipif(not memory.STATUS.is_file(), reason="needs Linux's /proc")
def test_the_memory_of_a_conversion_never_is_ours(tmp_path: Path) -> None:
    before = memory.read_peak_kib(memory.STATUS)
    in_own_process(hog, str(tmp_path / "peak"))
    after = memory.read_peak_kib(memory.STATUS)
    theirs = int((tmp_path / "peak").read_text(encoding="ascii").split()[0])
    assert theirs * 1024 > HOGGED_MB * 1e6
    assert (after - before) * 1024 < HOGGED_MB * 1e6 / 4


@pytest.fixture
def options(monkeypatch: pytest.MonkeyPatch) -> Callable[[], onnxruntime.SessionOptions]:
    """Return the options with which a file is opened on two threads."""
    seen: list[onnxruntime.SessionOptions] = []

    def refuse(_: bytes, options: onnxruntime.SessionOptions, **__: object) -> None:
        seen.append(options)
        raise RuntimeError("seen")

    def opened() -> onnxruntime.SessionOptions:
        with pytest.raises(InterpreterBrokenError, match="seen"):
            open_model(b"", Runtime.ONNXRUNTIME, threads=2)
        return seen.pop()

    monkeypatch.setattr(onnxruntime, "InferenceSession", refuse)
    return opened


def test_onnxruntime_opens_every_file_with_the_settings_that_parity_was_measured_with(
    options: Callable[[], onnxruntime.SessionOptions],
) -> None:
    """Its answers depend on the level of graph optimisation; and threads that wait for work would spin."""
    found = options()
    assert found.graph_optimization_level == onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    assert found.get_session_config_entry("session.intra_op.allow_spinning") == "0"
    assert (found.intra_op_num_threads, found.inter_op_num_threads) == (2, 1)


@pytest.mark.parametrize("has_vnni, precise", [(False, "1"), (True, "0")])
def test_kernels_that_do_not_saturate_are_chosen_where_the_others_would(
    has_vnni: bool,
    precise: str,
    options: Callable[[], onnxruntime.SessionOptions],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(onnxruntime_backend, "has_avx512_vnni", lambda: has_vnni)
    assert options().get_session_config_entry("session.x64quantprecision") == precise
