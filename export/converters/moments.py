"""Second output of the model files: moments of a feature map, for the out-of-distribution check.

A network with a feature map as its last output is converted as any other. Then that output is replaced by each
channel's mean and mean of squares (:data:`edge_runtime.inference.backends.base.MOMENTS`). The moments are computed in
float32, also in an int8 file: squares of int8 levels would be rounded.

Rounded weights shift the means of single channels by the same amount on all images. That shift is measured on the
calibration images and subtracted in the int8 file.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from ai_edge_litert import schema_py_generated as schema

from edge_runtime.inference.backends.base import MOMENTS
from export.converters.flatbuffer import add_tensor, new_operator, store
from export.converters.tflite_file import rewrite

Floats = npt.NDArray[np.float32]

_AXES = {"tflite": (1, 2), "onnx": (2, 3)}
_STEPS = ("values", "squares", "mean", "mean_square")


def attach_to_tflite(path: Path) -> None:
    """Replace the last output of a TFLite file, a map 1×H×W×C, by its moments, float32 1×1×1×2C."""

    def change(model: Any) -> None:
        graph = model.subgraphs[0]
        source = int(graph.outputs[-1])
        made = next(i for i, op in enumerate(graph.operators) if source in op.outputs)
        _, height, width, channels = (int(side) for side in graph.tensors[source].shape)
        full, pooled = [1, height, width, channels], [1, 1, 1, channels]
        values, operators = source, []
        if graph.tensors[source].type != schema.TensorType.FLOAT32:
            values = _tensor(graph, _STEPS[0], full)
            operators.append(new_operator(model, "DEQUANTIZE", [source], values, version=2))
        axes = _axes(model, graph)
        squares, mean, mean_square = (
            _tensor(graph, name, shape) for name, shape in zip(_STEPS[1:], (full, pooled, pooled), strict=True)
        )
        joined = _tensor(graph, MOMENTS, [1, 1, 1, 2 * channels], prefix="")
        kept, along = schema.ReducerOptionsT(), schema.ConcatenationOptionsT()
        kept.keepDims, along.axis = True, 3  # interpreters have a fast kernel for means that keep the axes
        operators += [
            new_operator(model, "MUL", [values, values], squares, schema.MulOptionsT()),
            new_operator(model, "MEAN", [values, axes], mean, kept),
            new_operator(model, "MEAN", [squares, axes], mean_square, kept),
            new_operator(model, "CONCATENATION", [mean, mean_square], joined, along),
        ]
        graph.operators[made + 1 : made + 1] = operators  # the map's memory is free again soon
        graph.outputs = [*(int(i) for i in graph.outputs[:-1]), joined]
        for signature in model.signatureDefs or []:
            for output in signature.outputs:
                if output.tensorIndex == source:
                    output.tensorIndex = joined

    rewrite(path, path, change)


def _tensor(graph: Any, name: str, shape: list[int], prefix: str = f"{MOMENTS}/") -> int:
    return add_tensor(graph, prefix + name, shape, schema.TensorType.FLOAT32)


def _axes(model: Any, graph: Any) -> int:
    """Add the constant tensor of the axes over which means are computed; return its index."""
    index = _tensor(graph, "axes", [2])
    graph.tensors[index].type = schema.TensorType.INT32
    store(model, graph, index, np.array(_AXES["tflite"], "<i4"))
    return index


def attach_to_onnx(path: Path) -> None:
    """Replace the last output of an ONNX file, a map N×H×W×C, by its moments, float32 N×2C."""
    model = onnx.load(path)
    graph = model.graph
    output = graph.output[-1]
    made = next(i for i, node in enumerate(graph.node) if output.name in node.output)
    maker, axes, values = graph.node[made], (1, 2), output.name
    batch = output.type.tensor_type.shape.dim[0]
    channels = output.type.tensor_type.shape.dim[3].dim_value
    if maker.op_type == "Transpose":  # the converter's maps are N×C×H×W inside
        axes, values = _AXES["onnx"], maker.input[0]
        if not any(output.name in node.input for node in graph.node):
            graph.node.remove(maker)
            made -= 1
    squares, mean, mean_square = (f"{MOMENTS}/{step}" for step in _STEPS[1:])
    nodes = [
        onnx.helper.make_node("Mul", [values, values], [squares], name=squares),
        onnx.helper.make_node("ReduceMean", [values], [mean], name=mean, axes=axes, keepdims=0),
        onnx.helper.make_node("ReduceMean", [squares], [mean_square], name=mean_square, axes=axes, keepdims=0),
        onnx.helper.make_node("Concat", [mean, mean_square], [MOMENTS], name=MOMENTS, axis=1),
    ]
    later = list(graph.node)[made + 1 :]
    del graph.node[made + 1 :]
    graph.node.extend([*nodes, *later])
    sides = [batch.dim_param or batch.dim_value, 2 * channels]
    graph.output.remove(output)
    graph.output.append(onnx.helper.make_tensor_value_info(MOMENTS, onnx.TensorProto.FLOAT, sides))
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, path)


def correct_tflite(path: Path, error: Floats) -> None:
    """Subtract ``error``, float32 (2C,), from the moments of a TFLite file."""

    def change(model: Any) -> None:
        graph = model.subgraphs[0]
        joined = int(graph.outputs[-1])
        shape = [int(side) for side in graph.tensors[joined].shape]
        graph.tensors[joined].name = f"{MOMENTS}/joined"
        made = next(i for i, op in enumerate(graph.operators) if joined in op.outputs)
        constant, corrected = _tensor(graph, "error", shape), _tensor(graph, MOMENTS, shape, prefix="")
        store(model, graph, constant, np.asarray(error, "<f4"))
        graph.operators.insert(
            made + 1, new_operator(model, "SUB", [joined, constant], corrected, schema.SubOptionsT())
        )
        graph.outputs = [*(int(i) for i in graph.outputs[:-1]), corrected]
        for signature in model.signatureDefs or []:
            for output in signature.outputs:
                if output.tensorIndex == joined:
                    output.tensorIndex = corrected

    rewrite(path, path, change)


def correct_onnx(path: Path, error: Floats) -> None:
    """Subtract ``error``, float32 (2C,), from the moments of an ONNX file."""
    model = onnx.load(path)
    graph = model.graph
    (last,) = (node for node in graph.node if MOMENTS in node.output)
    joined, constant = f"{MOMENTS}/joined", f"{MOMENTS}/error"
    last.output[:] = [joined]
    graph.initializer.append(onnx.numpy_helper.from_array(np.asarray(error, np.float32), constant))
    graph.node.append(onnx.helper.make_node("Sub", [joined, constant], [MOMENTS], name=f"{MOMENTS}/corrected"))
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, path)


def moment_nodes(graph: onnx.GraphProto) -> list[str]:
    """Return the names of the nodes that compute moments, which stay float32 in an int8 file."""
    return [node.name for node in graph.node if node.name.startswith(MOMENTS)]
