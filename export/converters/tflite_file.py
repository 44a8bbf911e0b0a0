"""Inside a .tflite file: what the converter offers no option for is changed in the flatbuffer itself."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from ai_edge_litert import schema_py_generated as schema

from edge_runtime.bundle.embedded import KEY
from edge_runtime.bundle.spec import ModelSpec
from edge_runtime.serialisation.records import canonical_json
from export.converters.flatbuffer import packed
from export.errors import NOTHING_TO_CORRECT, ConversionError
from export.quantisation.float_endpoints import Layer, is_vector

Floats = npt.NDArray[np.float32]

_WITH_BIAS = (schema.BuiltinOperator.FULLY_CONNECTED, schema.BuiltinOperator.CONV_2D)
_WEIGHTED = (*_WITH_BIAS, schema.BuiltinOperator.DEPTHWISE_CONV_2D)

_CONSTANTS = {1: b"/weights", 2: b"/bias"}
"""Constant inputs of a weighted operator, by their place."""

_ONE_SCALE = (
    schema.BuiltinOperator.AVERAGE_POOL_2D,
    schema.BuiltinOperator.CONCATENATION,
    schema.BuiltinOperator.MAX_POOL_2D,
    schema.BuiltinOperator.RESHAPE,
    schema.BuiltinOperator.SLICE,
    schema.BuiltinOperator.SPLIT,
    schema.BuiltinOperator.STRIDED_SLICE,
    schema.BuiltinOperator.TRANSPOSE,
)
"""Operators whose int8 kernels want one scale for what goes in and what comes out."""


def embed(path: Path, spec: ModelSpec) -> None:
    """Write the spec into the file's metadata, where :mod:`edge_runtime.bundle.embedded` reads it.

    A spec that is there already is replaced.
    """

    def change(model: Any) -> None:
        model.description = f"{spec.name} {spec.version}: {spec.summary}"
        data = np.frombuffer(canonical_json(spec).encode("ascii"), dtype=np.uint8)
        for known in model.metadata or ():
            if bytes(known.name) == KEY.encode():
                model.buffers[known.buffer].data = data
                return
        buffer, entry = schema.BufferT(), schema.MetadataT()
        buffer.data = data
        entry.name, entry.buffer = KEY, len(model.buffers)
        model.buffers.append(buffer)
        model.metadata = [*(model.metadata or []), entry]

    rewrite(path, path, change)


def tidy(path: Path) -> None:
    """Give every tensor a short name of its own; writing the file again also removes duplicate vectors and strings.

    The converter names the weights, the bias and the output of a fused operator alike. Tools that look tensors up by
    name need them apart.
    """

    def change(model: Any) -> None:
        for graph in model.subgraphs:
            roles, taken = _constant_roles(model, graph), set[bytes]()
            for index, tensor in enumerate(graph.tensors):
                role = roles.get(index, b"")
                tensor.name = _unique(_short(bytes(tensor.name)).removesuffix(role) + role, taken)
                taken.add(tensor.name)

    rewrite(path, path, change)


def _short(name: bytes) -> bytes:
    """Return the first layer of a fused operator's name, without the names of the networks that contain it.

    ``functional_1/conv_1/Relu;functional_1/conv_1/BiasAdd`` becomes ``conv_1/Relu``.
    """
    return re.sub(rb"^(functional(_\d+)*/)+", b"", name.split(b";")[0])


def _constant_roles(model: Any, graph: Any) -> dict[int, bytes]:
    """Return index of a weighted operator's constant → what it is to that operator."""
    return {
        operator.inputs[place]: role
        for operator in graph.operators
        if model.operatorCodes[operator.opcodeIndex].builtinCode in _WEIGHTED
        for place, role in _CONSTANTS.items()
        if place < len(operator.inputs) and operator.inputs[place] >= 0
    }


def _unique(name: bytes, taken: set[bytes]) -> bytes:
    """Return the name, or the first of ``name_2``, ``name_3``, … that is not taken."""
    number, found = 1, name
    while found in taken:
        number += 1
        found = name + b"_%d" % number
    return found


def order_outputs(path: Path) -> None:
    """List the graph's outputs in the order of the Keras model's, which the signature's names tell: ``output_0``, ….

    The converter lists them as it pleases; the runtime takes the first for the logits.
    """

    def change(model: Any) -> None:
        (signature,) = model.signatureDefs
        named = {bytes(output.name).decode(): output.tensorIndex for output in signature.outputs}
        model.subgraphs[0].outputs = [named[f"output_{i}"] for i in range(len(named))]

    rewrite(path, path, change)


def set_ranges(source: Path, ranges: dict[int, tuple[float, float]], out: Path) -> None:
    """Replace calibrated ranges.

    Args:
        source: a float file with the calibrator's minimum and maximum of each activation.
        ranges: index of a tensor → its new minimum and maximum.
    """

    def change(model: Any) -> None:
        for index, (low, high) in ranges.items():
            found = model.subgraphs[0].tensors[index].quantization
            found.min, found.max = [low], [high]

    rewrite(source, out, change)


def ranges_of(source: Path) -> dict[int, tuple[float, float]]:
    """Return index of a tensor → minimum and maximum that the calibrator found."""
    tensors = schema.ModelT.InitFromPackedBuf(source.read_bytes(), 0).subgraphs[0].tensors
    found = {i: tensor.quantization for i, tensor in enumerate(tensors)}
    return {
        i: (float(q.min[0]), float(q.max[0]))
        for i, q in found.items()
        if q is not None and q.min is not None and len(q.min) == 1
    }


def names_of(source: Path) -> frozenset[str]:
    """Return the names of all tensors."""
    return frozenset(_names(schema.ModelT.InitFromPackedBuf(source.read_bytes(), 0).subgraphs[0]))


def layers_of(source: Path) -> tuple[list[Layer], str]:
    """Return the operators, each named as the quantiser names it, by what it gives first; and the logits' tensor."""
    model = schema.ModelT.InitFromPackedBuf(source.read_bytes(), 0)
    graph = model.subgraphs[0]
    names = _names(graph)
    layers = [
        Layer(
            names[operator.outputs[0]],
            tuple(names[index] for index in operator.inputs if index >= 0),
            names[operator.outputs[0]],
            model.operatorCodes[operator.opcodeIndex].builtinCode in _WEIGHTED,
            is_vector(graph.tensors[operator.outputs[0]].shape),
        )
        for operator in graph.operators
    ]
    return layers, names[graph.outputs[0]]


def _names(graph: Any) -> list[str]:
    return [bytes(tensor.name).decode("utf-8", "replace") for tensor in graph.tensors]


def join_ranges(source: Path, out: Path) -> None:
    """Give tensors that int8 kernels want on one scale the union of their ranges.

    The quantiser takes the range of one of them for all: after an average pooling that is the averages', and
    whatever exceeds them is cut off (measured on ShuffleNet: values of 1.0 at .28).
    """
    ranges = ranges_of(source)
    parent = {index: index for index in ranges}

    def top(index: int) -> int:
        while parent[index] != index:
            index = parent[index]
        return index

    model = schema.ModelT.InitFromPackedBuf(source.read_bytes(), 0)
    for operator in model.subgraphs[0].operators:
        if model.operatorCodes[operator.opcodeIndex].builtinCode in _ONE_SCALE:
            tied = [i for i in (*operator.outputs, *operator.inputs) if i in ranges]
            for other in tied[1:]:
                parent[top(other)] = top(tied[0])
    joined: dict[int, tuple[float, float]] = {}
    for index, (low, high) in ranges.items():
        known = joined.get(top(index), (low, high))
        joined[top(index)] = min(low, known[0]), max(high, known[1])
    set_ranges(source, {index: joined[top(index)] for index in ranges}, out)


def subtract_from_last_bias(source: Path, error: Floats, out: Path) -> None:
    """Take ``error`` (float32, one a logit) out of the bias of the layer that gives the logits.

    Raises:
        ConversionError: the last operator has no bias of that length.
    """

    def change(model: Any) -> None:
        graph = model.subgraphs[0]
        last = next(op for op in graph.operators if graph.outputs[0] in op.outputs)
        code = model.operatorCodes[last.opcodeIndex].builtinCode
        bias = graph.tensors[last.inputs[2]] if code in _WITH_BIAS and len(last.inputs) > 2 else None
        if bias is None or last.inputs[2] < 0 or list(bias.shape) != [len(error)]:
            raise ConversionError(f"the last operator has no bias for each logit; {NOTHING_TO_CORRECT}.")
        values = np.frombuffer(bytes(model.buffers[bias.buffer].data), dtype=np.float32) - error
        model.buffers[bias.buffer].data = np.frombuffer(values.astype(np.float32).tobytes(), dtype=np.uint8)

    rewrite(source, out, change)


def rewrite(source: Path, out: Path, change: Callable[[Any], None]) -> None:
    """Apply ``change`` to the model of ``source``, a ``ModelT`` of TFLite's schema, and write it to ``out``."""
    data = source.read_bytes()
    model = schema.ModelT.InitFromPackedBuf(data, 0)
    _take_in(model, data)
    change(model)
    out.write_bytes(packed(model))


def _take_in(model: Any, data: bytes) -> None:
    """Move buffers that stand behind the flatbuffer, at an offset, into it; ai-edge-quantizer writes files so."""
    for buffer in model.buffers:
        if buffer.offset > 1:  # 0 and 1 mean none
            buffer.data = np.frombuffer(data, np.uint8, buffer.size, buffer.offset)
            buffer.offset = buffer.size = 0
