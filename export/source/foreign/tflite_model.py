"""Bring a TFLite classifier made elsewhere into the form for devices: one image 1×H×W×C in, logits out.

LiteRT is imported inside functions, because only child processes may import it.
"""

from __future__ import annotations

import math
import struct
import zipfile
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from ai_edge_litert import schema_py_generated as schema

from edge_runtime.bundle.manifest import Format
from edge_runtime.bundle.spec import ModelSpec
from edge_runtime.errors import InterpreterBrokenError
from edge_runtime.inference.backends.base import Runtime
from edge_runtime.inference.backends.registry import open_model
from export.converters.flatbuffer import add_tensor, new_operator, packed, store
from export.errors import ExportError
from export.source.foreign.formats import damaged
from export.source.foreign.given import GivenModel, Layout, choose_output, layout_of
from export.source.foreign.tflite_graph import TYPES, cut, is_quantised, prune, step_of, widen_float16

Floats = npt.NDArray[np.float32]

_UNREADABLE = (struct.error, ValueError, TypeError, LookupError, AttributeError)
_INPUTS = (schema.TensorType.FLOAT32, schema.TensorType.INT8, schema.TensorType.UINT8)


def read(path: Path, spec: ModelSpec, output: str | None) -> GivenModel:
    """Read a TFLite classifier.

    Args:
        output: name of the output that gives the scores; None if there is one.

    Raises:
        ExportError: the file is damaged, or does not fit the spec; the message is one sentence and a remedy.
    """
    content = path.read_bytes()
    try:
        model = schema.ModelT.InitFromPackedBuf(content, 0)
        graph = model.subgraphs[0]
        _check_operators(path, model)
        name, place = _chosen(path, model, output, spec)
        image = _image(path, graph)
    except _UNREADABLE:
        raise damaged(path, Format.TFLITE) from None
    layout = layout_of(path, _sides(image), spec, Layout.LAST)
    alone = [int(index) for index in graph.outputs] == [place]
    graph.outputs = [place]
    changes = _fix_size(path, model, image, layout, spec)
    given = content if alone and not changes else packed(deepcopy(model))
    end, removed, step = cut(model)
    if removed:
        changes.append(f"The final {removed} was removed; the network ends at its logits.")
    prune(model)
    watched = packed(deepcopy(model))
    if widen_float16(model):
        changes.append("Its float16 weights were stored as float32, as the interpreter reads them.")
    quantised = is_quantised(model)
    if layout is not Layout.LAST:
        changes.append(_for_devices(model, layout, spec))
    _discard_unused(model)
    return GivenModel(
        network=packed(model),
        scores=_runner(path, given, layout),
        logits=_runner(path, watched, layout),
        end=end,
        output=name,
        quantised=quantised,
        step=step,
        changes=tuple(changes),
        labels=_labels(path),
    )


def _check_operators(path: Path, model: Any) -> None:
    for entry in model.operatorCodes:
        if entry.customCode:
            name = bytes(entry.customCode).decode("utf-8", "replace")
            raise ExportError(
                f"{path}: found operator {name}, expected operators of TFLite alone, which interpreters on devices "
                "compute. Convert the network with TFLITE_BUILTINS only."
            )


def _chosen(path: Path, model: Any, wanted: str | None, spec: ModelSpec) -> tuple[str, int]:
    """Return name and tensor index of the chosen output; its name is the signature's, if there is one."""
    graph = model.subgraphs[0]
    places = [int(i) for i in graph.outputs if TYPES[graph.tensors[i].type] in ("float32", "int8", "uint8", "int16")]
    signed = {
        int(entry.tensorIndex): bytes(entry.name)
        for signature in model.signatureDefs or ()
        for entry in signature.outputs
    }
    names = [(signed.get(i) or bytes(graph.tensors[i].name or b"")).decode("utf-8", "replace") for i in places]
    counts: list[int | None] = [math.prod(graph.tensors[i].shape[1:]) for i in places]
    chosen = choose_output(path, names, counts, wanted, spec)
    return names[chosen], places[chosen]


def _image(path: Path, graph: Any) -> Any:
    if len(graph.inputs) != 1:
        raise ExportError(
            f"{path}: found {len(graph.inputs)} inputs, expected one, the image. Convert the network with the image as "
            "its only input."
        )
    image = graph.tensors[graph.inputs[0]]
    if image.type not in _INPUTS or (image.type != schema.TensorType.FLOAT32 and not step_of(image)):
        raise ExportError(
            f"{path}: found an input of {TYPES[image.type]}{'' if step_of(image) else ' without a scale'}, expected "
            "float32, or int8 or uint8 with a scale. Convert the network with a float32 input."
        )
    return image


def _sides(image: Any) -> tuple[int | None, ...]:
    """Return the shape, None for sides that are open."""
    signature = image.shapeSignature
    shape = image.shape if signature is None or not len(signature) else signature
    return tuple(None if side < 1 else int(side) for side in shape)


def _fix_size(path: Path, model: Any, image: Any, layout: Layout, spec: ModelSpec) -> list[str]:
    """Set the input to one image of the spec's size, and the shapes of all tensors to what follows from it."""
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    (width, height), graph = spec.size_px, model.subgraphs[0]
    one = layout.of(np.zeros((1, height, width, spec.channels), np.float32)).shape
    same = tuple(image.shape) == one
    for tensor in graph.tensors:
        tensor.shapeSignature = None
    if same:
        return []
    image.shape = list(one)
    try:
        interpreter = Interpreter(
            model_content=packed(deepcopy(model)),
            experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
        )
        interpreter.allocate_tensors()
    except (ValueError, RuntimeError) as error:
        raise _refused(path, error) from None
    shapes = {detail["index"]: detail["shape"] for detail in interpreter.get_tensor_details()}
    for index, tensor in enumerate(graph.tensors):
        if index in shapes and model.buffers[tensor.buffer].data is None:
            tensor.shape = [int(side) for side in shapes[index]]
    return [f"Its open input size was set to {height}×{width}."]


def _for_devices(model: Any, layout: Layout, spec: ModelSpec) -> str:
    """Put the input of devices, 1×H×W×C, before a graph that takes another order of values."""
    graph, (width, height) = model.subgraphs[0], spec.size_px
    old = int(graph.inputs[0])
    image = add_tensor(graph, "image", [1, height, width, spec.channels], graph.tensors[old].type)
    graph.tensors[image].quantization = deepcopy(graph.tensors[old].quantization)
    if layout is Layout.FIRST:
        values, name, options = [0, 3, 1, 2], "TRANSPOSE", schema.TransposeOptionsT()
    else:
        values, name, options = [1, height * width * spec.channels], "RESHAPE", schema.ReshapeOptionsT()
        options.newShape = values
    constant = add_tensor(graph, "image/order", [len(values)], schema.TensorType.INT32)
    store(model, graph, constant, np.array(values, "<i4"))
    graph.operators.insert(0, new_operator(model, name, [image, constant], old, options))
    graph.inputs = [image]
    if layout is Layout.FIRST:
        return "Its input has channels first; a TRANSPOSE was inserted, so that devices give channels last."
    return "Its input is one row; a RESHAPE was inserted, which joins height, width and channels."


def _discard_unused(model: Any) -> None:
    """Empty the buffers of constants that only removed operators read."""
    if len(model.subgraphs) > 1:
        return
    graph = model.subgraphs[0]
    used = {int(i) for operator in graph.operators for i in operator.inputs if i >= 0} | set(map(int, graph.outputs))
    kept = {graph.tensors[i].buffer for i in used} | {entry.buffer for entry in model.metadata or ()}
    for index, buffer in enumerate(model.buffers):
        if index not in kept:
            buffer.data = None


def _labels(path: Path) -> tuple[str, ...]:
    """Return the lines of the label file in the zip archive at the end of the file; empty if there is none."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = [entry for entry in archive.infolist() if entry.filename.endswith(".txt")]
            if len(names) != 1 or names[0].file_size > 1 << 20:
                return ()
            text = archive.read(names[0]).decode("utf-8", "replace")
    except (zipfile.BadZipFile, OSError, RuntimeError, NotImplementedError):
        return ()
    return tuple(line.strip() for line in text.splitlines() if line.strip())


def _runner(path: Path, content: bytes, layout: Layout) -> Callable[[Floats], Floats]:
    """Return a function that runs a graph in the order of values that it was given with."""

    def run(tensors: Floats) -> Floats:
        try:
            backend = open_model(content, Runtime.LITERT)
        except InterpreterBrokenError as error:
            raise _refused(path, error) from None
        try:
            return np.concatenate([backend.run(layout.of(tensors[i : i + 1])) for i in range(len(tensors))])
        finally:
            backend.close()

    return run


def _refused(path: Path, error: Exception) -> ExportError:
    return ExportError(
        f"{path}: LiteRT does not run it ({' '.join(str(error).split())[:200]}), expected operators of TFLite. Convert "
        "the network again, with TFLITE_BUILTINS only."
    )
