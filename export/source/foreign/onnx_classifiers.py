"""Classifiers of scikit-learn in an ONNX graph: write the linear ones as a matrix product, which ends at logits.

``LinearClassifier`` computes labels and probabilities in one operator, which no quantiser reads. ``ZipMap`` makes one
dictionary an image of the probabilities.
"""

from __future__ import annotations

import numpy as np
import onnx
from onnx import helper, numpy_helper

from export.source.heads import FinalActivation


def scores_of(graph: onnx.GraphProto, output: str) -> str:
    """Return the name of the probabilities from which ``ZipMap`` makes an output; other outputs are returned as is."""
    node = maker(graph, output)
    return str(node.input[0]) if node is not None and node.op_type == "ZipMap" else output


def labels_of(graph: onnx.GraphProto) -> tuple[str, ...]:
    """Return the class labels that an operator of the graph names as text; empty if none does."""
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.name == "classlabels_strings" and attribute.strings:
                return tuple(text.decode("utf-8", "replace") for text in attribute.strings)
    return ()


def expand_linear(graph: onnx.GraphProto, output: str) -> FinalActivation | None:
    """Replace the ``LinearClassifier`` that gives an output by ``Gemm`` and the activation; None if there is none.

    Two labels with ``LOGISTIC`` have scores w·x and -w·x. Halved, they are logits of a softmax.
    """
    node = maker(graph, output)
    while node is not None and node.op_type in ("Identity", "Normalizer", "Cast"):
        node = maker(graph, node.input[0])
    if node is None or node.op_type != "LinearClassifier" or len(node.output) < 2:
        return None
    found = {attribute.name: helper.get_attribute_value(attribute) for attribute in node.attribute}
    rows = len(found.get("classlabels_strings") or found.get("classlabels_ints") or ())
    weights = np.array(found["coefficients"], np.float32)
    bias = np.array(found.get("intercepts") or np.zeros(rows), np.float32)
    kind = found.get("post_transform", b"NONE").decode()
    if len(bias) != rows or kind not in ("SOFTMAX", "LOGISTIC"):
        return None
    weights = weights.reshape(rows, -1)
    if kind == "LOGISTIC":
        if rows != 2 or not (np.allclose(weights[0], -weights[1]) and np.allclose(bias[0], -bias[1])):
            return None
        weights, bias = weights * np.float32(0.5), bias * np.float32(0.5)
    scores = str(node.output[1])
    names = {part: f"{scores}/{part}" for part in ("logits", "weights", "bias")}
    graph.initializer.append(numpy_helper.from_array(np.ascontiguousarray(weights), names["weights"]))
    graph.initializer.append(numpy_helper.from_array(bias, names["bias"]))
    taken = [node.input[0], names["weights"], names["bias"]]
    place = next(i for i, each in enumerate(graph.node) if each is node)
    product = helper.make_node("Gemm", taken, [names["logits"]], name=names["logits"], transB=1)
    softmax = helper.make_node("Softmax", [names["logits"]], [scores], name=f"{scores}/softmax", axis=1)
    node.output[1] = f"{scores}/unused"
    graph.node.insert(place, product)
    graph.node.insert(place + 1, softmax)
    return FinalActivation.SOFTMAX


def expand_scalers(graph: onnx.GraphProto) -> None:
    """Replace each ``Scaler`` by ``Sub`` and ``Mul``, and rows 1×N that are added to a product by vectors of N.

    The quantiser knows no ``Scaler``, and fails on a bias of two axes.
    """
    for place, node in reversed(list(enumerate(graph.node))):
        if node.op_type != "Scaler":
            continue
        found = {attribute.name: helper.get_attribute_value(attribute) for attribute in node.attribute}
        names = [f"{node.output[0]}/{part}" for part in ("offset", "scale", "centred")]
        for name, values in zip(names, (found["offset"], found["scale"]), strict=False):
            graph.initializer.append(numpy_helper.from_array(np.array(values, np.float32), name))
        steps = [
            helper.make_node("Sub", [node.input[0], names[0]], [names[2]], name=names[2]),
            helper.make_node("Mul", [names[2], names[1]], [node.output[0]], name=node.output[0]),
        ]
        graph.node.remove(node)
        for step in reversed(steps):
            graph.node.insert(place, step)
    made = {name: node.op_type for node in graph.node for name in node.output}
    added = {
        name
        for node in graph.node
        if node.op_type == "Add" and "MatMul" in map(made.get, node.input)
        for name in node.input
    }
    for value in graph.initializer:
        if value.name in added and len(value.dims) == 2 and value.dims[0] == 1:
            value.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(value)[0], value.name))


def maker(graph: onnx.GraphProto, name: str) -> onnx.NodeProto | None:
    """Return the node that computes a value; None for an input or a constant."""
    return next((node for node in graph.node if name in node.output), None)
