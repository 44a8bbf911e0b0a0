"""Count how much of a model file is computed and stored in int8."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from ai_edge_litert import schema_py_generated as schema
from google.protobuf.message import DecodeError
from onnx import numpy_helper

from edge_runtime.bundle.manifest import Format, QuantisedShare
from export.errors import ConversionError

_EIGHT_BITS = frozenset({schema.TensorType.INT8, schema.TensorType.UINT8})
_CONVOLUTIONS = frozenset(
    {
        schema.BuiltinOperator.CONV_2D,
        schema.BuiltinOperator.DEPTHWISE_CONV_2D,
        schema.BuiltinOperator.FULLY_CONNECTED,
        schema.BuiltinOperator.TRANSPOSE_CONV,
        schema.BuiltinOperator.BATCH_MATMUL,
    }
)
_UNREADABLE = (struct.error, ValueError, TypeError, LookupError, AttributeError, DecodeError)
"""Errors of the readers of both formats for a truncated or altered file."""
_PRODUCTS = frozenset({"Conv", "ConvTranspose", "Gemm", "MatMul"})
_PASSED = frozenset({"Relu", "Clip"})  # onnxruntime fuses them into the convolution before


@dataclass(frozen=True)
class _Layer:
    """One layer: number of multiply-accumulates and weights, and whether these are in 8 bits."""

    products: int
    weights: int
    computed: bool
    stored: bool


def quantised_share(path: Path, form: Format) -> QuantisedShare:
    """Count a file's multiply-accumulates and weights, and those in 8 bits.

    A layer is computed in 8 bits if both of its factors, activations and weights, have 8 bits; with 16-bit activations
    it is not. Layers are convolutions, dense layers and matrix products. Biases are not counted. A file without such a
    layer has a share of 0.

    Raises:
        ConversionError: the file cannot be read, or onnxruntime cannot run it on one image.
    """
    try:
        layers = list(_of_tflite(path) if form is Format.TFLITE else _of_onnx(path))
    except _UNREADABLE as error:
        raise ConversionError(f"{path.name}: found no {form.value} file that can be read ({error}).") from None
    products, weights = sum(layer.products for layer in layers), sum(layer.weights for layer in layers)
    return QuantisedShare(
        file=path.name,
        multiply_accumulates=products,
        computed=_share(sum(layer.products for layer in layers if layer.computed), products),
        weights=weights,
        stored=_share(sum(layer.weights for layer in layers if layer.stored), weights),
    )


def _share(part: int, whole: int) -> float:
    """Return ``part / whole`` with four decimals, 0..1; 1 only if all, 0 only if none."""
    if part in (0, whole):
        return float(part > 0)
    return min(max(round(part / whole, 4), 0.0001), 0.9999)


def _of_tflite(path: Path) -> Iterator[_Layer]:
    model = schema.ModelT.InitFromPackedBuf(path.read_bytes(), 0)
    graph = model.subgraphs[0]
    widened = {
        operator.outputs[0]: operator.inputs[0]
        for operator in graph.operators
        if model.operatorCodes[operator.opcodeIndex].builtinCode == schema.BuiltinOperator.DEQUANTIZE
    }
    for operator in graph.operators:
        code = model.operatorCodes[operator.opcodeIndex].builtinCode
        if code not in _CONVOLUTIONS:
            continue
        transposed = code == schema.BuiltinOperator.TRANSPOSE_CONV
        image = graph.tensors[operator.inputs[2 if transposed else 0]]
        weights, out = graph.tensors[operator.inputs[1]], graph.tensors[operator.outputs[0]]
        kernel = [int(side) for side in weights.shape]
        if code == schema.BuiltinOperator.DEPTHWISE_CONV_2D:
            products = prod(out.shape) * kernel[1] * kernel[2]
        elif transposed:
            products = prod(image.shape[:-1]) * prod(kernel)
        elif code == schema.BuiltinOperator.BATCH_MATMUL:
            products = prod(out.shape) * int(image.shape[-2 if operator.builtinOptions.adjX else -1])
        else:  # filters: outputs first
            products = prod(out.shape) * prod(kernel[1:])
        kept = graph.tensors[widened.get(operator.inputs[1], operator.inputs[1])]
        data = model.buffers[kept.buffer].data
        constant, computed = data is not None and len(data) > 0, {weights.type, image.type} <= _EIGHT_BITS
        yield _Layer(int(products), prod(kernel) * constant, computed, constant and kept.type in _EIGHT_BITS)


def _of_onnx(path: Path) -> Iterator[_Layer]:
    model = onnx.load(str(path))
    graph = model.graph
    constants = {each.name: each for each in graph.initializer}
    made = {name: node for node in graph.node for name in node.output}
    shapes = _shapes(model, path)
    for node in graph.node:
        if node.op_type not in _PRODUCTS:
            continue
        image, kernel = node.input[0], node.input[1]
        taken, out = shapes[kernel], shapes[node.output[0]]
        if node.op_type == "Conv":
            products = prod(out) * prod(taken[1:])
        elif node.op_type == "ConvTranspose":
            products = prod(shapes[image]) * prod(taken[1:])
        else:
            turned = node.op_type == "Gemm" and any(a.name == "transB" and a.i for a in node.attribute)
            products = prod(out) * (taken[-1] if turned else taken[-2])
        source = _eight_bits(kernel, made, constants)
        computed = source is not None and _eight_bits(image, made, constants) is not None
        if node.op_type == "Conv":  # onnxruntime multiplies in 8 bits only if the result is rounded too
            computed = computed and _rounded(node.output[0], graph)
        computed = computed and node.op_type != "ConvTranspose"  # onnxruntime has no 8-bit kernel for it
        constant, eight = kernel in constants, (source or "") in constants
        yield _Layer(products, prod(taken) * (constant or eight), computed, eight)


def _shapes(model: onnx.ModelProto, path: Path) -> dict[str, tuple[int, ...]]:
    """Return the input and output shapes of the counted layers, from running one image.

    The file does not contain all shapes: a Reshape may compute its own.
    """
    import onnxruntime

    (image,) = model.graph.input
    sides = tuple(side.dim_value or 1 for side in image.type.tensor_type.shape.dim)
    shapes = {each.name: tuple(each.dims) for each in model.graph.initializer} | {image.name: sides}
    counted = [node for node in model.graph.node if node.op_type in _PRODUCTS]
    names = dict.fromkeys(name for node in counted for name in (*node.input[:2], node.output[0]))
    watched = [name for name in names if name and name not in shapes]
    del model.graph.output[:]
    model.graph.output.extend(onnx.ValueInfoProto(name=name) for name in watched)
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL  # layers stay as they are
    try:
        session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
        found = session.run(watched, {image.name: np.zeros(sides, np.float32)}) if watched else []
    except Exception as error:  # onnxruntime's errors have no common root
        raise ConversionError(f"{path}: onnxruntime does not run it on one image: {error}") from None
    return shapes | {name: values.shape for name, values in zip(watched, found, strict=True)}


def _eight_bits(name: str, made: dict[str, Any], constants: dict[str, Any]) -> str | None:
    """Return the 8-bit tensor that a tensor was dequantised from, also before reshapes and transpositions, or None."""
    node = made.get(name)
    while node is not None and node.op_type in ("Reshape", "Transpose", "Squeeze", "Unsqueeze", "Flatten"):
        node = made.get(node.input[0])
    if node is None or node.op_type != "DequantizeLinear":
        return None
    zero = constants.get(node.input[2]) if len(node.input) > 2 else None
    kind = None if zero is None else numpy_helper.to_array(zero).dtype
    if kind is None and node.input[0] in constants:
        kind = numpy_helper.to_array(constants[node.input[0]]).dtype
    return str(node.input[0]) if kind in (np.int8, np.uint8) else None


def _rounded(name: str, graph: Any) -> bool:
    """Return whether all consumers of a tensor quantise it, directly or after an activation."""
    followers = [node for node in graph.node if name in node.input]
    return bool(followers) and all(
        node.op_type == "QuantizeLinear" or (node.op_type in _PASSED and _rounded(node.output[0], graph))
        for node in followers
    )
