"""The head of a network, traversed backwards from its logits to the last feature map.

Grad-CAM weights each channel of a feature map by the gradient of one logit, averaged over all positions (Selvaraju et
al. 2017, ICCV 618). Pooling preserves the sum of a gradient, and flattening only renames positions. Grad-CAM therefore
needs the first dense layer's weights summed over positions: one row per channel. A head of 69 million weights shrinks
to channels × units, without approximation. Where a dense layer ends in a ReLU, the gradient passes only units above 0.
The graph outputs the values of these layers, so they are not computed twice.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

MOST_WEIGHTS = 4_000_000
"""Limit of a head's weights in a bundle: 16 MB as float32.

DenseNet121's head shrinks from 69 to 2.7 million weights, AlexNet's from 58 to 22 million.
"""


@dataclass(frozen=True)
class KerasHead:
    """Parts of a network that Grad-CAM needs, as symbolic Keras tensors and weights.

    Attributes:
        features: the last feature map, H×W×C, after its activation.
        hidden: outputs of the dense layers that end in a ReLU, in forward order.
        weights: float64, one more than ``hidden``: C×units of the first hidden layer, units×units of the next, …,
            units×outputs; without a hidden layer C×outputs. Normalisation between them is multiplied in.
    """

    features: Any
    hidden: tuple[Any, ...]
    weights: tuple[Floats, ...]


class HeadError(Exception):
    """Grad-CAM cannot be computed for the head; the message is a clause that gives the reason."""


def find_head(network: Any) -> KerasHead:
    """Return the head of a network that ends in logits (Keras, functional, channels last).

    Raises:
        HeadError: the head has an unsupported layer, no feature map, or more than :data:`MOST_WEIGHTS` weights.
    """
    walk = _Walk(network.outputs[0], [np.eye(int(network.outputs[0].shape[-1]))], [])
    while len(walk.tensor.shape) == 2:
        _step(walk, _VECTORS)
    if len(walk.tensor.shape) != 4:
        raise HeadError(f"what is flattened has the shape {tuple(walk.tensor.shape)}, no height, width and channels")
    while _step(walk, _MAPS, last=True):
        pass
    if not _inputs(walk.tensor):
        raise HeadError("its head sees the image itself, and no feature map")
    places = int(walk.tensor.shape[1]) * int(walk.tensor.shape[2])
    if places == 1:
        raise HeadError("its head sees one place alone, so that a map would be one colour")
    weights = (walk.chain[-1] / places, *reversed(walk.chain[:-1]))
    count = sum(matrix.size for matrix in weights)
    if count > MOST_WEIGHTS:
        raise HeadError(f"its head comes to {count:,} weights, more than the {MOST_WEIGHTS:,} that a bundle carries")
    return KerasHead(walk.tensor, tuple(reversed(walk.hidden)), weights)


def last_map(network: Any) -> Any | None:
    """Return the last feature map before any pooling; None if no layer outputs one of 2×2 or more."""
    found = None
    for operation in network.operations:
        if type(operation).__name__ in _MAPS:
            continue
        tensor: Any = getattr(operation, "output", None)
        if getattr(tensor, "_keras_history", None) is not None and _inputs(tensor) and _is_map(tensor.shape):
            found = tensor
    return found


def _is_map(shape: tuple[int | None, ...]) -> bool:
    return len(shape) == 4 and None not in shape[1:] and min(side or 0 for side in shape[1:3]) > 1


def _inputs(tensor: Any) -> list[Any]:
    """Return the input tensors of the layer that outputs ``tensor``; an empty list for a network input."""
    history = tensor._keras_history
    return list(history.operation._inbound_nodes[history.node_index].input_tensors)


@dataclass
class _Walk:
    """State of the backward traversal.

    Attributes:
        tensor: the tensor reached.
        chain: matrices between ReLU layers, in backward order; the last one starts at ``tensor``.
        hidden: outputs of the ReLU layers passed, in backward order.
    """

    tensor: Any
    chain: list[Floats]
    hidden: list[Any]

    def scale(self, by: Floats) -> None:
        self.chain[-1] = by[:, np.newaxis] * self.chain[-1]


def _step(walk: _Walk, known: dict[str, Callable[[_Walk, Any, Any], None]], *, last: bool = False) -> bool:
    """Move back over one layer; return whether the layer is supported.

    Raises:
        HeadError: the layer is not supported, and ``last`` is False.
    """
    layer, inputs = walk.tensor._keras_history.operation, _inputs(walk.tensor)
    step = known.get(type(layer).__name__) if inputs else None
    if step is None or getattr(layer, "data_format", "channels_last") != "channels_last":
        if last:
            return False
        raise HeadError(f"its head holds {layer.name} ({type(layer).__name__}), whose gradient is not known here")
    step(walk, layer, inputs if len(inputs) > 1 else inputs[0])
    return True


def _skip(walk: _Walk, layer: Any, before: Any) -> None:
    walk.tensor = before


def _activation(walk: _Walk, layer: Any, before: Any) -> None:
    """Pass a linear activation; a ReLU starts a new matrix in the chain."""
    _bend(walk, layer, getattr(layer, "activation", None))
    walk.tensor = before


def _dense(walk: _Walk, layer: Any, before: Any) -> None:
    _bend(walk, layer, layer.activation)
    walk.chain[-1] = np.asarray(layer.kernel, dtype=np.float64) @ walk.chain[-1]
    walk.tensor = before


def _bend(walk: _Walk, layer: Any, activation: Any) -> None:
    import keras

    if activation in (None, keras.activations.linear) and type(layer).__name__ != "ReLU":
        return
    plain = type(layer).__name__ == "ReLU" and not (layer.max_value or layer.negative_slope or layer.threshold)
    if activation is not keras.activations.relu and not plain:
        named = getattr(activation, "__name__", type(layer).__name__)
        raise HeadError(f"its head holds {layer.name} ({named}), whose gradient is not known here")
    walk.hidden.append(walk.tensor)
    walk.chain.append(np.eye(int(walk.tensor.shape[-1])))


def _normalisation(walk: _Walk, layer: Any, before: Any) -> None:
    if layer.axis not in (-1, [-1], len(before.shape) - 1, [len(before.shape) - 1]):
        raise HeadError(f"its head holds {layer.name}, which does not normalise channels")
    factor = 1.0 / np.sqrt(np.asarray(layer.moving_variance, dtype=np.float64) + layer.epsilon)
    walk.scale(factor * np.asarray(layer.gamma, dtype=np.float64) if layer.scale else factor)
    walk.tensor = before


def _concatenation(walk: _Walk, layer: Any, branches: Any) -> None:
    """Follow the branch with the most layers; the other branches do not contribute to this feature map's gradient."""
    depths = [_depth(branch) for branch in branches]
    chosen = int(np.argmax(depths))
    first = sum(int(branch.shape[-1]) for branch in branches[:chosen])
    walk.tensor = branches[chosen]
    walk.chain[-1] = walk.chain[-1][first : first + int(walk.tensor.shape[-1])]


def _mean(walk: _Walk, layer: Any, before: Any) -> None:
    """Pass a global pooling: it divides the gradient among positions and preserves its sum."""
    walk.tensor = before


def _flat(walk: _Walk, layer: Any, before: Any) -> None:
    """Sum the weights over positions; flattening keeps channels last."""
    if len(before.shape) == 4:
        channels = int(before.shape[-1])
        walk.chain[-1] = walk.chain[-1].reshape(-1, channels, walk.chain[-1].shape[1]).sum(axis=0)
    walk.tensor = before


def _depth(tensor: Any) -> int:
    """Count the layers that ``tensor`` depends on."""
    seen: set[int] = set()
    waiting = [tensor]
    while waiting:
        tensor = waiting.pop()
        operation = tensor._keras_history.operation
        if id(operation) not in seen:
            seen.add(id(operation))
            waiting.extend(_inputs(tensor))
    return len(seen)


_ANYWHERE: dict[str, Callable[[_Walk, Any, Any], None]] = {
    "Dropout": _skip,
    "Identity": _skip,
    "BatchNormalization": _normalisation,
}
_VECTORS = _ANYWHERE | {
    "Dense": _dense,
    "Activation": _activation,
    "ReLU": _activation,
    "Concatenate": _concatenation,
    "GlobalAveragePooling2D": _mean,
    "GlobalMaxPooling2D": _mean,
    "Flatten": _flat,
    "Reshape": _flat,
}
_MAPS = _ANYWHERE | {"SpatialDropout2D": _skip, "MaxPooling2D": _skip, "AveragePooling2D": _skip}
"""Layers allowed between the last feature map and its flattening; pooling preserves the gradient's sum."""
