"""Find the layer that a converter fails on, by converting each kind of layer of a network alone.

Converters report a failure as pages of compiler text, in names of their own operators. A network's maker knows layers.
"""

from __future__ import annotations

import contextlib
import json
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edge_runtime.bundle.manifest import Format
from export.converters import to_onnx, to_tflite
from export.converters.failure_text import operator_in
from export.converters.isolation import in_own_process
from export.errors import ConversionError
from export.source.keras_model import load_to_logits

_APART = 1e-2
"""A layer alone whose answers differ by more, relative to max(1, |answer|), is converted wrongly."""

_MOST = 60
"""Most layers that are tried; each takes about a second."""


@dataclass(frozen=True)
class Culprit:
    """A layer that cannot be converted.

    Attributes:
        name: its name in the network.
        kind: its class, with its activation if it has one.
        differs: the converter accepts it, but its answers differ from Keras.
    """

    name: str
    kind: str
    differs: bool = False


def explained(model: str, form: Format, error: ConversionError) -> ConversionError:
    """Return a converter's error as a sentence that names the layer, and a way out."""
    called = {Format.TFLITE: "TFLite", Format.ONNX: "ONNX"}[form]
    found = find_culprit(model, form) if Path(model).suffix == ".keras" else None
    operator = operator_in(f"{error}\n{error.log}")
    lacking = f" ({called} has no operator {operator})" if operator else ""
    if found is not None:
        return ConversionError(
            f"found layer {found.name} ({found.kind}), which cannot be converted to {called}{lacking}, expected the "
            "layers of docs/reference/coverage.md. Replace it and save the network again; a layer of image processing "
            "belongs into the spec's steps.",
            error.log,
        )
    if operator:
        return ConversionError(
            f"found the operator {operator}, which cannot be converted to {called}, expected the layers of "
            "docs/reference/coverage.md. Replace the layer that computes it, and save the network again.",
            error.log,
        )
    if "was killed" in str(error):
        return ConversionError(f"{called}: {error}", error.log)
    return ConversionError(
        f"found a network that cannot be converted to {called}, though each of its layers can, expected a graph of "
        "Keras layers with one fixed image size. Save it again as .keras with the Keras of this environment, without "
        "operations between layers.",
        error.log,
    )


def hint(model: str, form: Format) -> str:
    """Return a sentence, after a space, that names the layer that is converted wrongly; empty if none is found."""
    found = find_culprit(model, form) if Path(model).suffix == ".keras" else None
    return "" if found is None else f" Layer {found.name} ({found.kind}) alone differs already; replace it."


def find_culprit(model: str, form: Format) -> Culprit | None:
    """Return the first layer that fails alone; None if each can be converted."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "culprit.json"
        with contextlib.suppress(ConversionError):  # the converter's process died of the layer that is noted
            in_own_process(write_culprit, model, form, str(out))
        return Culprit(**json.loads(out.read_text(encoding="utf-8"))) if out.is_file() else None


def write_culprit(model: str, form: Format, out: str) -> None:
    """Convert layers alone, and leave the first that fails in ``out``; leave no file if none fails.

    A layer is noted before it is tried, in case the process dies.
    """
    path, tried = Path(out), set[str]()
    for layer, call in _calls(load_to_logits(model)):
        kind = _kind(layer)
        signature = f"{type(layer).__name__} {_settings(layer)}"
        if signature in tried or len(tried) >= _MOST:
            continue
        tried.add(signature)
        path.write_text(json.dumps(vars(Culprit(layer.name, kind))), encoding="utf-8")
        try:
            differs = _differs(_alone(layer, call), form, path.parent)
        except Exception:  # whatever a library raises: this is the layer
            return
        if differs:
            path.write_text(json.dumps(vars(Culprit(layer.name, kind, differs=True))), encoding="utf-8")
            return
    path.unlink(missing_ok=True)


def _calls(model: Any) -> Iterator[tuple[Any, Any]]:
    """Yield each layer with its first call, in order of the graph; nested networks are entered."""
    import keras

    if isinstance(model, keras.Sequential):
        model = keras.Model(model.inputs, model.outputs)
    for layer in model.operations:
        if isinstance(layer, keras.Model) and getattr(layer, "inputs", None):
            yield from _calls(layer)
        elif not isinstance(layer, keras.layers.InputLayer):
            yield layer, layer._inbound_nodes[0]


def _kind(layer: Any) -> str:
    name = getattr(getattr(layer, "activation", None), "__name__", "linear")
    return type(layer).__name__ if name == "linear" else f"{type(layer).__name__}, activation {name}"


def _settings(layer: Any) -> str:
    """Return the configuration that may decide whether a layer can be converted."""
    config = layer.get_config() if hasattr(layer, "get_config") else {}
    ignored = ("name", "units", "filters", "_initializer", "_regularizer", "dtype", "build_config", "seed")
    return json.dumps({k: v for k, v in config.items() if not k.endswith(ignored)}, default=str, sort_keys=True)


def _alone(layer: Any, call: Any) -> Any:
    """Return a model of one layer, called as in its network."""
    import keras

    inputs = [keras.Input(tensor.shape[1:], dtype=tensor.dtype) for tensor in call.input_tensors]
    replaced = {id(old): new for old, new in zip(call.input_tensors, inputs, strict=True)}
    args, kwargs = call.arguments.fill_in(replaced)
    return keras.Model(inputs[0] if len(inputs) == 1 else inputs, layer(*args, **kwargs))


def _differs(model: Any, form: Format, folder: Path) -> bool:
    """Convert a model; return whether its answers differ from Keras. Only models of one float32 input are compared."""
    import onnx

    path = folder / f"layer.{form.value}"
    if form is Format.TFLITE:
        path.write_bytes(to_tflite.converter_of(model).convert())
    else:
        graph = to_onnx.converted(model)
        onnx.checker.check_model(graph, full_check=True)
        onnx.save(graph, path)
    single = len(model.inputs) == 1 and len(model.outputs) == 1 and model.inputs[0].dtype == "float32"
    if not single or None in model.inputs[0].shape[1:]:
        return False
    tensor = np.random.default_rng(0).normal(size=(1, *model.inputs[0].shape[1:])).astype(np.float32)
    expected = np.asarray(model(tensor, training=False), np.float32)
    found = _answer(path, form, tensor)
    return bool((np.abs(found - expected) / np.maximum(1.0, np.abs(expected))).max() > _APART)


def _answer(path: Path, form: Format, tensor: Any) -> Any:
    if form is Format.ONNX:
        import onnxruntime

        session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        return session.run(None, {session.get_inputs()[0].name: tensor})[0]
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_path=str(path))
    interpreter.allocate_tensors()
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], tensor)
    interpreter.invoke()
    return interpreter.get_tensor(interpreter.get_output_details()[0]["index"])
