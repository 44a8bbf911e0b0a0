"""The final activation of a network, and the network cut before it so that it outputs logits.

The device computes scores from logits in float64. An int8 softmax or sigmoid has only 256 values, and none of them
lies between 0.996 and 1.
"""

from __future__ import annotations

import enum
from typing import Any


class FinalActivation(enum.Enum):
    """Final activation of a network."""

    LOGITS = "no activation"  # a dense layer or a convolution, linear
    SOFTMAX = "softmax"
    SIGMOID = "sigmoid"
    UNKNOWN = "an end that cannot be removed"  # SavedModel, custom layer, merged branches, another activation


def cut(model: Any) -> tuple[Any, FinalActivation]:
    """Return ``model`` (Keras, one output) without its final softmax or sigmoid, and the activation removed.

    A separate activation layer is removed. The ``activation=`` of a dense layer or a convolution is set to linear, in
    ``model`` itself; flattening and dropout layers after it stay. Other networks are returned unchanged, and so is a
    network that ends with two activations in sequence.
    """
    import keras

    last, before = _producer(model.outputs[0])
    end = _activation(last)
    if end in (FinalActivation.SOFTMAX, FinalActivation.SIGMOID) and _is_bare(last):
        if _activation(_maker(before)) in (FinalActivation.SOFTMAX, FinalActivation.SIGMOID):
            return model, FinalActivation.UNKNOWN
        return keras.Model(model.inputs[0], before), end
    maker = _maker(model.outputs[0])
    end = _activation(maker)
    if end in (FinalActivation.SOFTMAX, FinalActivation.SIGMOID):
        if isinstance(maker, keras.layers.Softmax):
            return model, FinalActivation.UNKNOWN
        maker.activation = keras.activations.linear
    if isinstance(model, keras.Sequential):  # tf2onnx finds no output names in it
        model = keras.Model(model.inputs[0], model.outputs[0])
    return model, end


def _producer(tensor: Any) -> tuple[Any, Any]:
    """Return the operation that outputs ``tensor``, and its first input tensor (None for a model input)."""
    history = tensor._keras_history
    taken = history.operation._inbound_nodes[history.node_index].input_tensors
    return history.operation, taken[0] if taken else None


def _maker(tensor: Any) -> Any:
    """Return the operation that computed ``tensor``, skipping reshaping layers and entering nested models."""
    import keras
    from keras import layers

    passing = (layers.Flatten, layers.Reshape, layers.Dropout, layers.Identity)
    operation, before = _producer(tensor)
    while True:
        if isinstance(operation, keras.Model) and getattr(operation, "outputs", None):
            operation, before = _producer(operation.outputs[0])
        elif before is not None and (isinstance(operation, passing) or _is_linear_activation(operation)):
            operation, before = _producer(before)
        else:
            return operation


def _is_bare(operation: Any) -> bool:
    """Return whether the operation is only an activation."""
    from keras import layers

    return isinstance(operation, layers.Activation | layers.Softmax)


def _is_linear_activation(operation: Any) -> bool:
    import keras

    return isinstance(operation, keras.layers.Activation) and operation.activation is keras.activations.linear


def _activation(operation: Any) -> FinalActivation:
    """Return the activation of an operation."""
    import keras
    from keras import layers

    if isinstance(operation, layers.Softmax):
        return FinalActivation.SOFTMAX if operation.axis in (-1, [-1], 1, [1]) else FinalActivation.UNKNOWN
    weighted = (layers.Dense, layers.Conv2D, layers.SeparableConv2D, layers.EinsumDense)
    if not isinstance(operation, (*weighted, layers.Activation)):
        return FinalActivation.UNKNOWN
    known = {
        keras.activations.softmax: FinalActivation.SOFTMAX,
        keras.activations.sigmoid: FinalActivation.SIGMOID,
        keras.activations.linear: FinalActivation.LOGITS,
    }
    return known.get(operation.activation, FinalActivation.UNKNOWN)
