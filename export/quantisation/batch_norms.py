"""Queries on a Keras graph and its BatchNorms, for rewriting a network for int8."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]

WIDEST = 64.0
"""Largest factor by which a channel's range is changed."""


def is_plain(operation: Any) -> bool:
    """Return whether this is a BatchNorm over the last axis, with scale and centre, that is used once."""
    from keras import layers

    return (
        isinstance(operation, layers.BatchNormalization)
        and bool(operation.scale and operation.center)
        and len(operation._inbound_nodes) == 1
        and operation.axis in (-1, len(operation.output.shape) - 1)
    )


def maker(tensor: Any) -> Any:
    """Return the operation that outputs ``tensor``; None if that operation is used several times."""
    operation = tensor._keras_history.operation
    return operation if len(operation._inbound_nodes) == 1 else None


def consumer(model: Any, operation: Any) -> Any:
    """Return the only consumer of ``operation``'s output; None if there are several or none."""
    tensor = operation.output
    nodes = [(other, node) for other in model.operations for node in other._inbound_nodes]
    found = [other for other, node in nodes if any(value is tensor for value in node.input_tensors)]
    if len(found) != 1 or len(found[0]._inbound_nodes) != 1 or any(value is tensor for value in model.outputs):
        return None
    return found[0]


def relative_ranges(values: Floats) -> Floats:
    """Return each channel's largest absolute value divided by their geometric mean; 1 for a nearly inactive channel."""
    largest = np.abs(values).max(axis=tuple(range(values.ndim - 1)))
    live = largest > 1e-3 * largest.max()
    if not live.any():
        return np.ones_like(largest)
    relative = np.where(live, largest / np.exp(np.log(largest[live]).mean()), 1.0)
    return np.asarray(np.clip(relative, 1 / WIDEST, WIDEST), dtype=np.float32)


def factors(norm: Any) -> tuple[Floats, Floats]:
    """Return the scale and the shift that a BatchNorm applies to each channel, float32 C each."""
    scale = np.asarray(norm.gamma) / np.sqrt(np.asarray(norm.moving_variance) + norm.epsilon)
    return scale, np.asarray(norm.beta) - np.asarray(norm.moving_mean) * scale


def identity(norm: Any) -> list[Floats]:
    """Return a moving mean of 0, and a moving variance of 1 - epsilon."""
    size = np.asarray(norm.gamma).shape
    return [np.zeros(size, np.float32), np.full(size, 1.0 - norm.epsilon, np.float32)]


def passes(layer: Any) -> bool:
    """Return whether a positive factor per channel commutes with the layer."""
    from keras import layers

    if isinstance(layer, layers.Activation):
        return bool(layer.activation.__name__ == "relu")
    if isinstance(layer, layers.ReLU):
        return layer.max_value is None and not layer.threshold
    if isinstance(layer, layers.Concatenate):
        return layer.axis in (-1, len(layer.output.shape) - 1)
    pooling = layers.MaxPooling2D, layers.AveragePooling2D, layers.GlobalAveragePooling2D
    return isinstance(layer, (*pooling, layers.ZeroPadding2D, layers.Dropout))
