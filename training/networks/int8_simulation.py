"""Simulate the roundings of an int8 file in a Keras network, so that it can be fitted to them.

Activations are rounded to 256 steps between the extremes that a layer outputs on training images, and filters to the
grid of :mod:`training.networks.weight_quantisation`. Gradients pass through the roundings unchanged (straight-through
estimator: Bengio et al. 2013, arXiv:1308.3432; Jacob et al. 2018, CVPR).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
Extremes = dict[str, tuple[float, float]]
"""Name of a layer → smallest and largest value of its output."""

STEPS = 255

_ROUNDED = (
    keras.layers.Activation,
    keras.layers.Add,
    keras.layers.BatchNormalization,
    keras.layers.Concatenate,
    keras.layers.Conv2D,
    keras.layers.Dense,
    keras.layers.DepthwiseConv2D,
    keras.layers.Multiply,
    keras.layers.ReLU,
    keras.layers.SeparableConv2D,
)


class RoundedActivation(keras.layers.Layer):  # type: ignore[misc]  # Keras ships no types
    """Rounds its input to :data:`STEPS` steps between two values, and clips it to them; has no weights."""

    def __init__(self, low: float, high: float, **options: Any) -> None:
        super().__init__(**options)
        self._low, self._high = min(low, 0.0), max(high, 0.0)  # int8 tensors contain 0

    def call(self, values: Any) -> Any:
        """Return the rounded values; gradients pass within the range."""
        ops = keras.ops
        step = max(self._high - self._low, 1e-9) / STEPS
        inside = ops.clip(values, self._low, self._high)
        rounded = ops.round((inside - self._low) / step) * step + self._low
        return inside + ops.stop_gradient(rounded - inside)


def extremes(model: keras.Model, batches: Iterable[Floats]) -> Extremes:
    """Return the extremes of each layer whose output int8 rounds, over all batches (float32 B×H×W×C)."""
    layers = [layer for layer in _rounded_layers(model) if layer is not model.layers[-1]]
    if not layers:
        return {}
    watched = keras.Model(model.inputs[0], [layer.output for layer in layers])
    found: Extremes = {}
    for batch in batches:
        outputs = watched(batch, training=False)
        for layer, values in zip(layers, outputs if isinstance(outputs, list) else [outputs], strict=True):
            low, high = float(keras.ops.min(values)), float(keras.ops.max(values))
            known = found.get(layer.name, (low, high))
            found[layer.name] = min(low, known[0]), max(high, known[1])
    return found


def _rounded_layers(model: keras.Model) -> list[Any]:
    """Return the layers that have one output and are not followed by a layer that an int8 file fuses with them."""
    fused = (keras.layers.BatchNormalization, keras.layers.Activation, keras.layers.ReLU)
    absorbed = {
        id(node.input_tensors[0]) for layer in model.layers if isinstance(layer, fused) for node in layer._inbound_nodes
    }
    once = [layer for layer in model.layers if isinstance(layer, _ROUNDED) and len(layer._inbound_nodes) == 1]
    return [layer for layer in once if id(layer.output) not in absorbed or _active(layer)]


def _active(layer: Any) -> bool:
    """Return whether a layer ends with an activation, so that nothing after it can be fused with it."""
    activation = getattr(layer, "activation", None)
    return isinstance(layer, keras.layers.ReLU) or getattr(activation, "__name__", "linear") != "linear"


def simulated(model: keras.Model, ranges: Extremes) -> keras.Model:
    """Return a copy of a functional model that rounds activations; its weights are in the order of the model's."""

    def call(layer: Any, *args: Any, **kwargs: Any) -> Any:
        output = layer(*args, **kwargs)
        known = ranges.get(layer.name)
        return output if known is None else RoundedActivation(*known, name=f"{layer.name}_rounded")(output)

    copy = keras.models.clone_model(model, call_function=call)
    copy.set_weights(model.get_weights())
    return copy
