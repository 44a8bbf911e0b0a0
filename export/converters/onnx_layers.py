"""Measure the int8 error of each layer of an .onnx file."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import onnx

from export.converters.onnx_names import INPUT
from export.quantisation.float_endpoints import Layer, first_layers, is_vector, last_layers
from export.quantisation.schemes import FloatLayerNames
from export.source.stored_tensors import StoredTensors

_JUDGED = 4
"""Number of images on which layers are compared; all their activations are in memory at once."""

_WEIGHTED = ("Conv", "Gemm", "MatMul")
_COMPUTING = ("Add", *_WEIGHTED, "Mul", "Sigmoid")
"""Operators whose inputs int8 rounds."""


def write_layers(prepared_path: str, int8_path: str, tensors_path: str, out: str) -> None:
    """Write the layers that may stay float32, as :class:`export.quantisation.schemes.FloatLayerNames`.

    A layer's int8 error is the root mean square error of rounding its inputs once, in percent of the root mean square
    of the values (onnxruntime's quantisation debugger gives it as a signal-to-noise ratio in dB).
    """
    from onnxruntime.quantization import qdq_loss_debug as debug

    tensors = StoredTensors(tensors_path)[:_JUDGED]
    with tempfile.TemporaryDirectory() as folder:
        watched = str(Path(folder) / "watched.onnx")
        debug.modify_model_output_intermediate_tensors(int8_path, watched)
        values = debug.collect_activations(watched, iter([{INPUT: tensor[np.newaxis]} for tensor in tensors]))
    ratios = debug.compute_activation_error(debug.create_activation_matching(values, values))
    error = {name: 100 * 10 ** (-found["qdq_err"] / 20) for name, found in ratios.items()}
    graph = onnx.load(prepared_path).graph
    computing = [node for node in graph.node if node.op_type in _COMPUTING]
    pairs = [(node.name, max((error.get(i, 0.0) for i in node.input), default=0.0)) for node in computing]
    layers = _layers(graph)
    FloatLayerNames(
        hurt=sorted(pairs, key=lambda pair: (-pair[1], pair[0])),
        first=first_layers(layers),
        last=last_layers(layers, graph.output[0].name),
    ).write(Path(out))


def _layers(graph: onnx.GraphProto) -> list[Layer]:
    """Return the nodes as layers; the prepared file contains the inferred shapes."""
    shapes = {
        value.name: [side.dim_value for side in value.type.tensor_type.shape.dim]
        for value in (*graph.value_info, *graph.output)
    }
    return [
        Layer(
            node.name,
            tuple(node.input),
            node.output[0],
            node.op_type in _WEIGHTED,
            node.output[0] in shapes and is_vector(shapes[node.output[0]]),
        )
        for node in graph.node
    ]
