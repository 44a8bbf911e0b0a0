"""Find the first and last layers, which low-precision networks keep in float (Zhou et al. 2016, arXiv:1606.06160).

In a MobileNet, rounding the first maps (the largest ones) and the logits changed the logits more than rounding all
layers between (docs/research/experiments.md).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Layer:
    """One operator of a model file.

    Attributes:
        reads, gives: names of its input tensors and of its output tensor.
        weighted: whether it is a convolution or a dense layer.
        vector: whether its output has no spatial axes, only one number per channel.
    """

    name: str
    reads: tuple[str, ...]
    gives: str
    weighted: bool
    vector: bool


def first_layers(layers: Sequence[Layer]) -> list[list[str]]:
    """Return groups of layer names in file order: each weighted layer with the unweighted layers before it."""
    parts: list[list[str]] = [[]]
    for layer in layers:
        parts[-1].append(layer.name)
        if layer.weighted:
            parts.append([])
    return parts[:-1]


def last_layers(layers: Sequence[Layer], logits: str) -> list[str]:
    """Return the names of the layers that compute the logits from the last feature map.

    On each way back from the logits these are all layers up to the first one with weights, and pooling and similar
    layers right before that. A network whose logits are sums has several ways.

    Args:
        logits: name of the output tensor of the file.
    """
    maker = {layer.gives: layer for layer in layers}
    found: dict[str, None] = {}
    waiting = [(logits, False)]
    while waiting:
        tensor, passed = waiting.pop(0)
        layer = maker.get(tensor)
        if layer is None or (passed and (layer.weighted or not layer.vector)):
            continue
        found[layer.name] = None
        waiting += [(read, passed or layer.weighted) for read in layer.reads]
    return list(found)


def is_vector(shape: Sequence[int]) -> bool:
    """Return whether a tensor's shape (batch first) has at most one side above 1, apart from the batch."""
    return sum(side != 1 for side in shape[1:]) <= 1
