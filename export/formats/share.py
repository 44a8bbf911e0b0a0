"""How much of a model file is computed and stored in eight bits, counted in the file itself."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from ai_edge_litert import schema_py_generated as schema
from onnx import numpy_helper, shape_inference

from edge_runtime.bundle.manifest import Format, QuantisedShare

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
_PRODUCTS = frozenset({"Conv", "ConvTranspose", "Gemm", "MatMul"})
_PASSED = frozenset({"Relu", "Clip"})  # onnxruntime takes them into the convolution before


@dataclass(frozen=True)
class _Layer:
    """One layer of products: how many, how many weights, and whether each is in eight bits."""

    products: int
    weights: int
    computed: bool
    stored: bool


def quantised_share(path: Path, form: Format) -> QuantisedShare:
    """Count a file's multiply-accumulates and weights, and those in eight bits.

    A layer counts as computed in eight bits where what it multiplies, image and weights, has eight bits; with 16-bit
    activations it does not. Layers are convolutions, dense layers and matrix products. Biases are not counted.

    Raises:
        ValueError: the file holds no such layer.
    """
    layers = list(_of_tflite(path) if form is Format.TFLITE else _of_onnx(path))
    products, weights = sum(layer.products for layer in layers), sum(layer.weights for layer in layers)
    if not products:
        raise ValueError(f"{path}: found no layer that multiplies, expected one or more.")
    return QuantisedShare(
        file=path.name,
        multiply_accumulates=products,
        computed=round(sum(layer.products for layer in layers if layer.computed) / products, 4),
        weights=weights,
        stored=round(sum(layer.weights for layer in layers if layer.stored) / weights, 4) if weights else 0.0,
    )


def _of_tflite(path: Path) -> Iterator[_Layer]:
    model = schema.ModelT.InitFromPackedBuf(path.read_bytes(), 0)
    graph = model.subgraphs[0]
    stored16 = {
        operator.outputs[0]
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
            products = prod(out.shape) * int(image.shape[-1])
        else:  # filters: outputs first
            products = prod(out.shape) * prod(kernel[1:])
        buffer = model.buffers[weights.buffer].data
        constant = (buffer is not None and len(buffer) > 0) or operator.inputs[1] in stored16
        stored = weights.type in _EIGHT_BITS
        yield _Layer(int(products), prod(kernel) * constant, stored and image.type in _EIGHT_BITS, stored)


def _of_onnx(path: Path) -> Iterator[_Layer]:
    model = shape_inference.infer_shapes(onnx.load(str(path)), strict_mode=True, data_prop=True)
    graph = model.graph
    constants = {each.name: each for each in graph.initializer}
    made = {name: node for node in graph.node for name in node.output}
    shapes = {each.name: _sides(each) for each in (*graph.input, *graph.value_info, *graph.output)}
    shapes |= {name: tuple(each.dims) for name, each in constants.items()}
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
        if node.op_type.startswith("Conv"):  # onnxruntime multiplies in eight bits where the result is rounded, too
            computed = computed and _rounded(node.output[0], graph)
        constant = kernel in constants or (source or "") in constants
        yield _Layer(products, prod(taken) * constant, computed, source is not None)


def _sides(value: Any) -> tuple[int, ...]:
    """Return a tensor's shape; a side without a number is the batch, of one image."""
    return tuple(side.dim_value or 1 for side in value.type.tensor_type.shape.dim)


def _eight_bits(name: str, made: dict[str, Any], constants: dict[str, Any]) -> str | None:
    """Return what a tensor was dequantised from if that has eight bits, through reshapes and transpositions."""
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
    """Tell whether a tensor, or what an activation makes of it, is quantised next."""
    followers = [node for node in graph.node if name in node.input]
    return bool(followers) and all(
        node.op_type == "QuantizeLinear" or (node.op_type in _PASSED and _rounded(node.output[0], graph))
        for node in followers
    )
