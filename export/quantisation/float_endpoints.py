"""The layers at a network's two ends, which low-precision networks keep in float (Zhou et al. 2016, arXiv:1606.06160).

Rounding the first maps, the largest, and the logits themselves moved a MobileNet's logits more than rounding all that
lies between (docs/research/experiments.md).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Layer:
    """One operator of a model file.

    Attributes:
        reads, gives: names of tensors.
        weighted: it is a convolution or a dense layer.
        vector: what it gives has no place left: one number a channel.
    """

    name: str
    reads: tuple[str, ...]
    gives: str
    weighted: bool
    vector: bool


def first_layers(layers: Sequence[Layer]) -> list[list[str]]:
    """Return the names of the layers in the order of the file, each weighted one together with what precedes it."""
    parts: list[list[str]] = [[]]
    for layer in layers:
        parts[-1].append(layer.name)
        if layer.weighted:
            parts.append([])
    return parts[:-1]


def last_layers(layers: Sequence[Layer], logits: str) -> list[str]:
    """Return the names of the layer that computes the logits, and of the poolings and the like right before it.

    Args:
        logits: the tensor that the file gives.
    """
    maker = {layer.gives: layer for layer in layers}
    found: dict[str, None] = {}
    waiting, passed = [logits], False
    while waiting:
        made = [maker[tensor] for tensor in waiting if tensor in maker]
        if passed:
            made = [layer for layer in made if layer.vector and not layer.weighted]
        found |= dict.fromkeys(layer.name for layer in made)
        passed = passed or any(layer.weighted for layer in made)
        waiting = [tensor for layer in made for tensor in layer.reads]
    return list(found)


def is_vector(shape: Sequence[int]) -> bool:
    """Whether a tensor's shape, batch first, has at most one side of more than 1."""
    return sum(side != 1 for side in shape[1:]) <= 1
