"""Interpreters: int8 hidden exactly, wrong input refused, and every fault with its remedy."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest

from edge_runtime.bundle.bundle import find
from edge_runtime.bundle.manifest import Format
from edge_runtime.errors import BackendError, InterpreterBrokenError, InterpreterMissingError
from edge_runtime.inference.backends import registry
from edge_runtime.inference.backends.base import Backend, Runtime
from edge_runtime.inference.backends.litert import _cause, _dequantise, _logit_of_level, _quantise
from edge_runtime.inference.backends.registry import FORMAT, choose, open_model
from edge_runtime.preprocessing.preprocessor import Preprocessor, look_up
from tests.system_4 import BUNDLE

RUNTIMES = [Runtime.LITERT, Runtime.ONNXRUNTIME]
BOTH = frozenset(Format)
LEVELS = np.arange(-128, 128)
SHAPE = (50, 50, 3)


def model(bundle: Path, runtime: Runtime, precision: str) -> bytes:
    return (bundle / f"model.{precision}.{FORMAT[runtime].value}").read_bytes()


def noise(count: int, seed: int = 81) -> np.ndarray:
    """Images of all 256 values, as the contract scales them."""
    return np.random.default_rng(seed).integers(0, 256, (count, *SHAPE)).astype(np.float32) / np.float32(255)


def litert_interpreter(content: bytes):
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_content=content, num_threads=1)
    interpreter.allocate_tensors()
    return interpreter


def onnx_input_quantisation(content: bytes) -> tuple[float, int]:
    """Scale and zero point of the QuantizeLinear that the input runs into, read from the file."""
    onnx = pytest.importorskip("onnx")
    graph = onnx.load_from_string(content).graph
    values = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in graph.initializer}
    name = graph.input[0].name
    while True:
        node = next(node for node in graph.node if name in node.input)
        if node.op_type == "QuantizeLinear":
            return float(values[node.input[1]]), int(values[node.input[2]])
        name = node.output[0]


@pytest.mark.parametrize("detail_type", [np.int8, np.uint8])
@pytest.mark.parametrize("scale, zero", [(1 / 255, -128), (0.0372, 3), (2.5, 0)])
def test_quantisation_reaches_every_level_and_saturates(detail_type: type, scale: float, zero: int) -> None:
    detail = {"dtype": detail_type, "quantization": (scale, zero)}
    limits = np.iinfo(detail_type)
    levels = np.arange(limits.min, limits.max + 1)
    values = ((levels - zero) * scale).astype(np.float32)
    for shift in (-0.49, 0.0, 0.49):
        found = _quantise(values + np.float32(shift * scale), detail)
        assert found.dtype == detail_type
        assert np.array_equal(found, levels), f"shift {shift}: {levels[found != levels]} are not reached"
    far = np.array([-1e30, -1e4, 1e4, 1e30], np.float32)
    assert _quantise(far, detail).tolist() == [limits.min, limits.min, limits.max, limits.max]
    np.testing.assert_allclose(_dequantise(levels.astype(detail_type), detail), (levels - zero) * scale, rtol=1e-6)


@pytest.mark.parametrize("detail_type", [np.int8, np.uint8])
def test_the_table_of_logits_is_dequantising_each_level(detail_type: type) -> None:
    detail = {"dtype": detail_type, "quantization": (0.05871, 7)}
    levels = np.arange(np.iinfo(detail_type).min, np.iinfo(detail_type).max + 1).astype(detail_type)
    table = _logit_of_level(detail)
    assert table is not None
    assert np.array_equal(table[levels], _dequantise(levels, detail))


def test_half_way_rounds_to_even() -> None:
    detail = {"dtype": np.int8, "quantization": (0.5, 0)}
    values = np.array([0.25, 0.75, 1.25, -0.25, -0.75, -1.25], np.float32)
    assert _quantise(values, detail).tolist() == [0, 2, 2, 0, -2, -2]


def test_each_pixel_value_has_a_level_of_its_own(phantom_bundle: Path) -> None:
    detail = litert_interpreter(model(phantom_bundle, Runtime.LITERT, "int8")).get_input_details()[0]
    found = _quantise(np.arange(256, dtype=np.float32) / np.float32(255), detail)
    assert np.array_equal(found, LEVELS), f"levels that no pixel reaches: {sorted(set(LEVELS) - set(found.tolist()))}"


@pytest.mark.parametrize("runtime", RUNTIMES)
@pytest.mark.parametrize("precision", ["int8", "float32"])
def test_a_table_of_256_levels_is_quantising_every_pixel(runtime: Runtime, precision: str) -> None:
    """All 256 values, looked up and computed, are the same inputs; and so the same logits to the last bit."""
    bundle = find(BUNDLE)
    backend = open_model((Path(bundle.where) / f"model.{precision}.{FORMAT[runtime].value}").read_bytes(), runtime)
    preprocessor = Preprocessor(bundle.manifest.spec.steps)
    assert preprocessor.values is not None
    levels = np.random.default_rng(83).integers(0, 256, (4, *SHAPE), dtype=np.uint8)
    levels[0].flat[:256] = np.arange(256)
    tensors = (levels.astype(np.float32) / np.float32(255)).astype(np.float32)
    assert np.array_equal(preprocessor.values[levels], tensors)
    table = backend.quantise(preprocessor.values)
    assert np.array_equal(look_up(levels, table), backend.quantise(tensors))
    assert look_up(levels, table).dtype == backend.quantise(tensors).dtype
    assert np.array_equal(backend.run(look_up(levels, table)), backend.run(tensors))


def test_litert_int8_equals_the_formula_around_the_interpreter(phantom_bundle: Path) -> None:
    """Quantised and dequantised here, in whole numbers and float64, with scales read from the file."""
    content = model(phantom_bundle, Runtime.LITERT, "int8")
    raw, backend = litert_interpreter(content), open_model(content, Runtime.LITERT)
    entry, result = raw.get_input_details()[0], raw.get_output_details()[0]
    (scale, zero), (out_scale, out_zero) = entry["quantization"], result["quantization"]
    tensors = noise(8)
    assert len(np.unique(tensors)) == 256
    for tensor, found in zip(tensors, backend.run(tensors), strict=True):
        steps = np.clip(np.rint(tensor.astype(np.float64) / scale) + zero, -128, 127).astype(np.int8)
        raw.set_tensor(entry["index"], steps[np.newaxis])
        raw.invoke()
        logits = (raw.get_tensor(result["index"])[0].astype(np.float64) - out_zero) * out_scale
        np.testing.assert_allclose(found, logits, rtol=1e-6, atol=1e-7)


def test_onnx_int8_sees_a_image_only_to_the_nearest_level(phantom_bundle: Path) -> None:
    """Values moved by less than half a level give the same logits, at all 256 levels and beyond the ends."""
    content = model(phantom_bundle, Runtime.ONNXRUNTIME, "int8")
    scale, zero = onnx_input_quantisation(content)
    backend = open_model(content, Runtime.ONNXRUNTIME)
    rng = np.random.default_rng(82)
    low = 0 if zero >= 0 else -128
    levels = np.resize(np.arange(low, low + 256), np.prod(SHAPE)).reshape(SHAPE)
    on = ((levels - zero) * scale).astype(np.float32)
    moved = on + (rng.uniform(-0.45, 0.45, SHAPE) * scale).astype(np.float32)
    beyond = np.where(levels == low + 255, on + 9, np.where(levels == low, on - 9, moved)).astype(np.float32)
    exact, near, far = backend.run(np.stack([on, moved, beyond]))
    assert np.array_equal(exact, near)
    assert np.array_equal(exact, far)


def test_float32_files_agree_between_the_runtimes(phantom_bundle: Path) -> None:
    tensors = noise(16)
    logits = [open_model(model(phantom_bundle, r, "float32"), r).run(tensors) for r in RUNTIMES]
    far = np.abs(logits[0] - logits[1]) / np.maximum(1, np.abs(logits[0]))
    assert far.max() <= 1e-5, f"worst image {far.max(axis=1).argmax()}: {far.max()} relative"


@pytest.fixture(params=[(r, p) for r in RUNTIMES for p in ("int8", "float32")], ids=lambda p: f"{p[0].value}-{p[1]}")
def backend(request: pytest.FixtureRequest, phantom_bundle: Path) -> Backend:
    runtime, precision = request.param
    return open_model(model(phantom_bundle, runtime, precision), runtime)


def test_logits_are_float32_rows_and_images_do_not_touch(backend: Backend) -> None:
    tensors = noise(5)
    together = backend.run(tensors)
    assert together.dtype == np.float32
    assert together.shape == (5, 2)
    alone = np.concatenate([backend.run(tensor[np.newaxis]) for tensor in tensors])
    assert np.array_equal(together, alone)
    assert np.array_equal(backend.run(tensors[::-1]), together[::-1])


@pytest.mark.parametrize("shape", [(50, 50, 1), (50, 49, 3), (3, 50, 50), (50, 50), (100, 100, 3)])
def test_a_tensor_of_another_shape_is_refused(backend: Backend, shape: tuple[int, ...]) -> None:
    with pytest.raises(BackendError, match=r"expected \(50, 50, 3\)"):
        backend.run(np.zeros((1, *shape), np.float32))


def test_a_closed_backend_says_so(backend: Backend) -> None:
    backend.close()
    backend.close()
    with pytest.raises(BackendError, match="this model was closed"):
        backend.run(noise(1))


@pytest.mark.parametrize("runtime", RUNTIMES)
@pytest.mark.parametrize("case", ["nothing", "text", "zeros", "magic", "half", "other"])
def test_bytes_that_are_no_model_are_a_broken_interpreter(runtime: Runtime, case: str, phantom_bundle: Path) -> None:
    sound = model(phantom_bundle, runtime, "float32")
    other = Runtime.LITERT if runtime is Runtime.ONNXRUNTIME else Runtime.ONNXRUNTIME
    content = {
        "nothing": b"",
        "text": b"not a model " * 99,
        "zeros": bytes(999),
        "magic": b"\x1c\0\0\0TFL3" + b"\xff" * 99,
        "half": sound[: len(sound) // 2],
        "other": model(phantom_bundle, other, "float32"),
    }[case]
    with pytest.raises(InterpreterBrokenError, match=r"rejects this model: .*--backend"):
        open_model(content, runtime)


@pytest.mark.parametrize(
    ("said", "sentence"),
    [
        (
            "Didn't find op for builtin opcode 'LOG' version '2'. An older version of this builtin might be supported. "
            "Are you using an old TFLite binary with a newer model?\nRegistration failed.\n",
            "it lacks version 2 of the operator LOG.",
        ),
        (
            "Encountered unresolved custom op: Erf.\nSee instructions: https://example.org\nNode number 3 failed.",
            "it lacks the custom operator Erf.",
        ),
        (
            "failed to create XNNPACK runtimeNode number 12 (TfLiteXNNPackDelegate) failed to prepare.",
            "its XNNPACK delegate cannot run one of the operators.",
        ),
        ("Model provided has\n  no subgraph.", "Model provided has no subgraph."),
    ],
)
def test_why_an_interpreter_rejects_a_file_is_one_sentence(said: str, sentence: str) -> None:
    assert _cause(said) == sentence


def only(monkeypatch: pytest.MonkeyPatch, *installed: Runtime) -> None:
    names = {registry.MODULE[runtime] for runtime in installed}
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: object() if name in names else None)


REMEDIES = {
    Runtime.LITERT: 'pip install "ai-edge-litert>=2.0.2,<2.4"',
    Runtime.TFLITE: 'pip install "tflite-runtime>=2.14,<2.15" "numpy<2" "opencv-python-headless>=4.11.0.86,<4.12"',
    Runtime.ONNXRUNTIME: 'pip install "onnxruntime>=1.23.2,<1.33"',
}


@pytest.mark.parametrize("runtime", REMEDIES)
def test_a_missing_interpreter_names_the_pip_command(runtime: Runtime, monkeypatch: pytest.MonkeyPatch) -> None:
    only(monkeypatch)
    with pytest.raises(InterpreterMissingError) as caught:
        choose(runtime, BOTH)
    assert caught.value.message == f"{runtime.value} is not installed here. Install it with: {REMEDIES[runtime]}"


def test_no_interpreter_at_all_names_the_commands_that_fit_the_model(monkeypatch: pytest.MonkeyPatch) -> None:
    only(monkeypatch)
    for formats in (BOTH, frozenset({Format.TFLITE}), frozenset({Format.ONNX})):
        with pytest.raises(InterpreterMissingError) as caught:
            choose(Runtime.AUTO, formats)
        for runtime, remedy in REMEDIES.items():
            assert (remedy in caught.value.message) is (FORMAT[runtime] in formats), caught.value.message


def test_auto_takes_the_first_that_is_installed_and_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    every = tuple(REMEDIES)
    for installed, formats, expected in (
        (every, BOTH, Runtime.LITERT),
        (every, {Format.ONNX}, Runtime.ONNXRUNTIME),
        ((Runtime.ONNXRUNTIME, Runtime.TFLITE), BOTH, Runtime.TFLITE),
        ((Runtime.ONNXRUNTIME,), BOTH, Runtime.ONNXRUNTIME),
    ):
        only(monkeypatch, *installed)
        assert choose(Runtime.AUTO, frozenset(formats)) is expected
        assert choose(expected, frozenset(formats)) is expected


def test_a_runtime_that_cannot_read_the_model_says_which_can() -> None:
    with pytest.raises(
        InterpreterMissingError, match=r"litert reads tflite files, this model has onnx\. Use --backend"
    ):
        choose(Runtime.LITERT, frozenset({Format.ONNX}))


def test_tflite_runtime_under_numpy_2_is_refused_before_it_is_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    """It would import, and then die in Interpreter() with a bare SystemError."""
    monkeypatch.setattr(np, "__version__", "2.4.6")
    monkeypatch.setitem(sys.modules, "tflite_runtime", None)
    with pytest.raises(InterpreterBrokenError) as caught:
        open_model(b"", Runtime.TFLITE)
    assert "cannot run with numpy 2.4.6" in caught.value.message
    assert REMEDIES[Runtime.TFLITE] in caught.value.message
    assert REMEDIES[Runtime.LITERT] in caught.value.message


@pytest.mark.parametrize("runtime", REMEDIES)
def test_a_package_that_does_not_import_names_the_pip_command(
    runtime: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(np, "__version__", "1.26.4")
    name = registry.MODULE[runtime]
    for module in (name, f"{name}.interpreter"):
        monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(InterpreterBrokenError, match="is installed but cannot be imported") as caught:
        open_model(b"", runtime)
    assert f"Reinstall it with: {REMEDIES[runtime]}" in caught.value.message


def test_an_operator_that_fails_while_it_runs_is_the_interpreters_fault(
    phantom_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = open_model(model(phantom_bundle, Runtime.LITERT, "float32"), Runtime.LITERT)

    class Failing:
        def __getattr__(self, name: str) -> object:
            return lambda *_: None

        def invoke(self) -> None:
            raise RuntimeError("Div only supports FLOAT32, INT32 and quantized UINT8 now, got 9.Node number 3 failed.")

    monkeypatch.setattr(opened, "_interpreter", Failing())
    with pytest.raises(InterpreterBrokenError, match=r"litert cannot run this model: Div only .* --backend onnx"):
        opened.run(np.zeros((1, *SHAPE), np.float32))
