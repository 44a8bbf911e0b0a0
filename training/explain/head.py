"""The end of a network, read backwards: from its logits to the last feature map, and what the gradient meets between.

Grad-CAM weighs a feature map's channels by the mean, over all places, of the gradient of one logit (Selvaraju et al.
2017, ICCV 618). Pooling passes a gradient on whole, however it deals it out among places, and flattening only renames
places; so what is wanted of the first dense layer is its weights summed over places, one row a channel. A head of 69
million weights shrinks to its channels × its units, and nothing is approximated. Where a dense layer ends in a ReLU,
the gradient passes the units that are above 0; the graph hands these layers' values out, and nobody computes
them twice.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

MOST_WEIGHTS = 4_000_000
"""Of a head that is carried: 16 MB. DenseNet121's of 69 million shrinks to 2.7, AlexNet's of 58 to 22."""


@dataclass(frozen=True)
class KerasHead:
    """What Grad-CAM needs of a network; tensors are Keras' symbolic ones.

    Attributes:
        features: the last feature map, H×W×C, after its activation.
        hidden: values of the dense layers that end in a ReLU, the first first.
        weights: float64, one more than ``hidden``: C×units of the first hidden layer, units×units of the next, …,
            units×outputs; without a hidden layer C×outputs. Normalisation between them is multiplied in.
    """

    features: Any
    hidden: tuple[Any, ...]
    weights: tuple[Floats, ...]


class HeadError(Exception):
    """The head is none that Grad-CAM can be computed for; the message says why, in half a sentence."""


def find_head(network: Any) -> KerasHead:
    """Read a network that ends in logits (Keras, functional, channels last) backwards.

    Raises:
        HeadError: there is a layer that is not known here, no feature map, or the head is over
            :data:`MOST_WEIGHTS`.
    """
    walk = _Walk(network.outputs[0], [np.eye(int(network.outputs[0].shape[-1]))], [])
    while len(walk.tensor.shape) == 2:
        _step(walk, _VECTORS)
    if len(walk.tensor.shape) != 4:
        raise HeadError(f"what is flattened has the shape {tuple(walk.tensor.shape)}, no height, width and channels")
    while _step(walk, _MAPS, last=True):
        pass
    if not _taken(walk.tensor):
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
    """Return the last feature map before any pooling; None if no layer gives one of 2×2 or more."""
    found = None
    for operation in network.operations:
        if type(operation).__name__ in _MAPS:
            continue
        tensor: Any = getattr(operation, "output", None)
        if getattr(tensor, "_keras_history", None) is not None and _taken(tensor) and _is_map(tensor.shape):
            found = tensor
    return found


def _is_map(shape: tuple[int | None, ...]) -> bool:
    return len(shape) == 4 and None not in shape[1:] and min(side or 0 for side in shape[1:3]) > 1


def _taken(tensor: Any) -> list[Any]:
    """Return what the layer that gives ``tensor`` takes; nothing for an input."""
    history = tensor._keras_history
    return list(history.operation._inbound_nodes[history.node_index].input_tensors)


@dataclass
class _Walk:
    """Where the walk is: the tensor reached, and matrices from it to the next ReLU or to the logits, the last first."""

    tensor: Any
    chain: list[Floats]
    hidden: list[Any]

    def scale(self, by: Floats) -> None:
        self.chain[-1] = by[:, np.newaxis] * self.chain[-1]


def _step(walk: _Walk, known: dict[str, Callable[[_Walk, Any, Any], None]], *, last: bool = False) -> bool:
    """Go back over one layer; return whether there was one that is known.

    Raises:
        HeadError: there was not, and it is not the ``last`` stretch.
    """
    layer, taken = walk.tensor._keras_history.operation, _taken(walk.tensor)
    step = known.get(type(layer).__name__) if taken else None
    if step is None or getattr(layer, "data_format", "channels_last") != "channels_last":
        if last:
            return False
        raise HeadError(f"its head holds {layer.name} ({type(layer).__name__}), whose gradient is not known here")
    step(walk, layer, taken if len(taken) > 1 else taken[0])
    return True


def _skip(walk: _Walk, layer: Any, before: Any) -> None:
    walk.tensor = before


def _activation(walk: _Walk, layer: Any, before: Any) -> None:
    """Pass a linear activation; a ReLU begins a new stretch."""
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
    """Follow the branch with the most layers; the others' rows have no part in this feature map's gradient."""
    depths = [_depth(branch) for branch in branches]
    chosen = int(np.argmax(depths))
    first = sum(int(branch.shape[-1]) for branch in branches[:chosen])
    walk.tensor = branches[chosen]
    walk.chain[-1] = walk.chain[-1][first : first + int(walk.tensor.shape[-1])]


def _mean(walk: _Walk, layer: Any, before: Any) -> None:
    """Each place's share of a mean is one of so many; all places together have the whole gradient."""
    walk.tensor = before


def _flat(walk: _Walk, layer: Any, before: Any) -> None:
    """Sum over places: flattening puts channels last."""
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
            waiting.extend(_taken(tensor))
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
"""What may stand between the last feature map and its flattening: a pooling deals a gradient out, and loses none."""
