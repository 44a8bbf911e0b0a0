"""What rewriting a network for int8 asks of its graph and of its BatchNorms."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]

WIDEST = 64.0
"""Largest factor by which a range is changed."""


def is_plain(operation: Any) -> bool:
    """Whether it is a BatchNorm over the last axis, with both factors, used once."""
    from keras import layers

    return (
        isinstance(operation, layers.BatchNormalization)
        and bool(operation.scale and operation.center)
        and len(operation._inbound_nodes) == 1
        and operation.axis in (-1, len(operation.output.shape) - 1)
    )


def maker(tensor: Any) -> Any:
    """Return the operation that gives ``tensor``, None if it serves in several places."""
    operation = tensor._keras_history.operation
    return operation if len(operation._inbound_nodes) == 1 else None


def consumer(model: Any, operation: Any) -> Any:
    """Return the one operation that takes ``operation``'s output, None if there are several or none."""
    tensor = operation.output
    nodes = [(other, node) for other in model.operations for node in other._inbound_nodes]
    found = [other for other, node in nodes if any(value is tensor for value in node.input_tensors)]
    if len(found) != 1 or len(found[0]._inbound_nodes) != 1 or any(value is tensor for value in model.outputs):
        return None
    return found[0]


def relative_ranges(values: Floats) -> Floats:
    """Return each channel's largest absolute value over the geometric mean; 1 for one that hardly fires."""
    largest = np.abs(values).max(axis=tuple(range(values.ndim - 1)))
    live = largest > 1e-3 * largest.max()
    if not live.any():
        return np.ones_like(largest)
    relative = np.where(live, largest / np.exp(np.log(largest[live]).mean()), 1.0)
    return np.asarray(np.clip(relative, 1 / WIDEST, WIDEST), dtype=np.float32)


def factors(norm: Any) -> tuple[Floats, Floats]:
    """Return what a BatchNorm multiplies each channel by, and then adds."""
    scale = np.asarray(norm.gamma) / np.sqrt(np.asarray(norm.moving_variance) + norm.epsilon)
    return scale, np.asarray(norm.beta) - np.asarray(norm.moving_mean) * scale


def identity(norm: Any) -> list[Floats]:
    """Return a moving mean of 0, and a moving variance that is 1 together with epsilon."""
    size = np.asarray(norm.gamma).shape
    return [np.zeros(size, np.float32), np.full(size, 1.0 - norm.epsilon, np.float32)]


def passes(layer: Any) -> bool:
    """Whether a positive factor of a channel may come before or after the layer alike."""
    from keras import layers

    if isinstance(layer, layers.Activation):
        return bool(layer.activation.__name__ == "relu")
    if isinstance(layer, layers.ReLU):
        return layer.max_value is None and not layer.threshold
    if isinstance(layer, layers.Concatenate):
        return layer.axis in (-1, len(layer.output.shape) - 1)
    pooling = layers.MaxPooling2D, layers.AveragePooling2D, layers.GlobalAveragePooling2D
    return isinstance(layer, (*pooling, layers.ZeroPadding2D, layers.Dropout))
