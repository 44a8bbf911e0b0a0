"""Edit the graph of an ONNX file: find and remove its final activation, remove dead nodes, rename values."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

from export.source.heads import FinalActivation

_ENDS = {
    "Softmax": FinalActivation.SOFTMAX,
    "LogSoftmax": FinalActivation.SOFTMAX,
    "Sigmoid": FinalActivation.SIGMOID,
}
_LINEAR = ("Add", "BatchNormalization", "Conv", "Gemm", "GlobalAveragePool", "MatMul", "ReduceMean")
_PASSING = ("Cast", "Dropout", "Flatten", "Identity", "Normalizer", "Reshape", "Squeeze")
_ROUNDING = ("DequantizeLinear", "QuantizeLinear")
_QUANTISED = ("QLinear", "QuantizeLinear", "DynamicQuantize", "ConvInteger", "MatMulInteger", "QGemm", "MatMulNBits")


def cut(graph: onnx.GraphProto, output: str) -> tuple[str, FinalActivation, str]:
    """Take the final softmax or sigmoid out of a graph.

    Returns:
        The name of the value that gives the logits, the activation that was removed, and the operator's name and type,
        empty if nothing was removed.
    """
    chain = list(_chain(graph, output))
    node = chain[-1] if chain else None
    if node is None:
        return output, FinalActivation.UNKNOWN, ""
    if _halves(graph, node):
        return output, FinalActivation.SOFTMAX, "1 - p and p of Sigmoid"
    end = _ENDS.get(node.op_type)
    if end is None:
        return output, FinalActivation.LOGITS if node.op_type in _LINEAR else FinalActivation.UNKNOWN, ""
    removed = [node, *(each for each in chain if each.op_type in (*_ROUNDING, "Normalizer"))]
    names = {each.output[0]: each.input[0] for each in removed}  # value → value that takes its place
    for each in graph.node:
        if all(each is not gone for gone in removed):
            each.input[:] = [_follow(names, name) for name in each.input]
    label = f"{node.op_type} {node.name}".rstrip()
    return _follow(names, output), end, label


def _follow(names: dict[str, str], name: str) -> str:
    while name in names:
        name = names[name]
    return name


def _chain(graph: onnx.GraphProto, output: str) -> Iterator[onnx.NodeProto]:
    """Yield the nodes from an output back to the first one that computes more than another shape or type."""
    made = {name: node for node in graph.node for name in node.output}
    node = made.get(output)
    while node is not None:
        yield node
        passing = node.op_type in _PASSING or (node.op_type in _ROUNDING and node.input[0] in made)
        node = made.get(node.input[0]) if passing else None


def _halves(graph: onnx.GraphProto, node: onnx.NodeProto) -> bool:
    """Replace 1 - p and p, where p is the sigmoid of z, by -z/2 and z/2, whose softmax they are."""
    made = {name: each for each in graph.node for name in each.output}
    if node.op_type != "Concat" or len(node.input) != 2:
        return False
    rest, last = made.get(node.input[0]), made.get(node.input[1])
    if rest is None or last is None or rest.op_type != "Sub" or last.op_type != "Sigmoid":
        return False
    one = next((each for each in graph.initializer if each.name == rest.input[0]), None)
    if one is None or rest.input[1] != node.input[1] or not np.all(numpy_helper.to_array(one) == 1):
        return False
    factors = numpy_helper.from_array(np.array([[-0.5, 0.5]], np.float32), f"{node.output[0]}/halves")
    graph.initializer.append(factors)
    name, given = node.name, node.output[0]
    node.CopyFrom(helper.make_node("Mul", [last.input[0], factors.name], [given], name=name))
    return True


def prune(model: onnx.ModelProto) -> None:
    """Remove the nodes, constants and operator sets that no output needs, and the inferred shapes."""
    graph = model.graph
    needed = {value.name for value in graph.output}
    kept = []
    for node in reversed(graph.node):
        if needed & set(node.output):
            kept.append(node)
            needed.update(taken_by(node))
    nodes = [onnx.NodeProto.FromString(node.SerializeToString()) for node in reversed(kept)]
    del graph.node[:], graph.value_info[:]
    graph.node.extend(nodes)
    for values in (graph.initializer, graph.sparse_initializer):
        used = [each for each in values if (each.name if hasattr(each, "name") else each.values.name) in needed]
        del values[:]
        values.extend(used)
    if not any(node.domain == "ai.onnx.ml" for node in all_nodes(graph)):
        others = [entry for entry in model.opset_import if entry.domain != "ai.onnx.ml"]
        del model.opset_import[:]
        model.opset_import.extend(others)


def taken_by(node: onnx.NodeProto) -> Iterator[str]:
    """Yield the names of all values that a node reads, also inside the graphs of If and Loop."""
    yield from node.input
    for inner in _inner(node):
        for each in inner.node:
            yield from taken_by(each)
        yield from (value.name for value in inner.output)


def all_nodes(graph: onnx.GraphProto) -> Iterator[onnx.NodeProto]:
    """Yield the nodes of a graph and of the graphs inside its nodes."""
    for node in graph.node:
        yield node
        for inner in _inner(node):
            yield from all_nodes(inner)


def _inner(node: onnx.NodeProto) -> Iterable[onnx.GraphProto]:
    for attribute in node.attribute:
        if attribute.type == onnx.AttributeProto.GRAPH:
            yield attribute.g
        elif attribute.type == onnx.AttributeProto.GRAPHS:
            yield from attribute.graphs


def is_quantised(graph: onnx.GraphProto) -> bool:
    """Return whether any node computes with, or makes, quantised values."""
    return any(word in node.op_type for node in all_nodes(graph) for word in _QUANTISED)


def rename(graph: onnx.GraphProto, names: dict[str, str]) -> None:
    """Rename values everywhere, also in the graphs of If and Loop."""

    def new(name: str) -> str:
        return names.get(name, name)

    for node in graph.node:
        node.input[:], node.output[:] = [new(name) for name in node.input], [new(name) for name in node.output]
        for inner in _inner(node):
            rename(inner, names)
    values: list[Any] = [*graph.input, *graph.output, *graph.initializer, *graph.value_info]
    for value in values:
        value.name = new(value.name)


def name_nodes(graph: onnx.GraphProto) -> None:
    """Give every node a name of its own, as the quantiser requires."""
    taken: set[str] = set()
    for i, node in enumerate(graph.node):
        name = node.name or f"{node.op_type}_{i}"
        while name in taken:
            name = f"{name}_{i}"
        node.name = name
        taken.add(name)
