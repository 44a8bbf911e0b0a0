"""What images make of the first activation and the first BatchNormalization of a network.

Images that are scaled otherwise than in the fit saturate the activation, or vary far more or less than the moving
statistics that the fit left in the normalisation. Neither needs labels.

Frameworks are imported inside functions, because only child processes may import them.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]

_FILE = "first_activations.json"

_BOUNDS = {
    "sigmoid": (0.0, 1.0),
    "hard_sigmoid": (0.0, 1.0),
    "tanh": (-1.0, 1.0),
    "hard_tanh": (-1.0, 1.0),
    "softsign": (-1.0, 1.0),
    "relu6": (0.0, 6.0),
}
_NEAR = 0.01
"""A value is at a bound if it is nearer to it than this share of the range."""

_LEAST_INSIDE = 0.02
"""Smallest plausible share of values between the bounds. Networks of this project have 0.2 or more."""

_LEAST_ACTIVE = 0.001
"""Smallest plausible share of values above 0 after a ReLU."""

_MOST_SPREAD = 100.0
"""Largest plausible ratio, or its inverse, of the spread of values to that in the fit. x / 255 for x gives 255. Smooth
images in a layer that was fitted on others only give 0.05 (mias-region)."""


@dataclass(frozen=True)
class FirstActivations:
    """Values of N images in the first layers.

    Attributes:
        activation: name of the first activation layer and of its function; empty if it is not a known one.
        inside: share of its values that are not at a bound, 0..1.
        normalisation: name of the first BatchNormalization; empty if there is none, or it was never fitted.
        spread: median over its channels of the standard deviation of its input, divided by that in the fit.
    """

    activation: str
    inside: float
    normalisation: str
    spread: float

    def write(self, folder: Path) -> None:
        """Write the fields as JSON to a file in ``folder``."""
        (folder / _FILE).write_text(json.dumps(vars(self)), encoding="utf-8")

    @classmethod
    def read(cls, folder: Path) -> FirstActivations | None:
        """Read the file in ``folder`` that :meth:`write` wrote; None for a model that is not of Keras."""
        if not (folder / _FILE).is_file():
            return None
        return cls(**json.loads((folder / _FILE).read_text(encoding="utf-8")))

    def fault(self) -> str:
        """Return what is implausible, and its remedy; empty if nothing is."""
        seen = []
        least = _LEAST_ACTIVE if self.activation.endswith("(relu)") else _LEAST_INSIDE
        if self.activation and self.inside < least:
            seen.append(
                f"found {1 - self.inside:.1%} of the values of {self.activation} at its bounds: it is saturated"
            )
        if self.normalisation and not 1 / _MOST_SPREAD <= self.spread <= _MOST_SPREAD:
            seen.append(f"found values that vary {self.spread:.3g} times as much as in the fit at {self.normalisation}")
        if not seen:
            return ""
        return f"{', and '.join(seen)}. Compare the scaling of the spec's steps with that of the fit."


def first_activations(network: Any, tensors: Floats) -> FirstActivations:
    """Run a Keras network on images (float32 N×H×W×C) and examine its first activation and BatchNormalization."""
    from keras import layers

    activation: list[tuple[Any, str, Floats]] = []
    normalised: list[tuple[Any, Floats]] = []

    def watch(layer: Any, taken: Any, given: Any) -> None:
        if isinstance(layer, layers.BatchNormalization) and not normalised:
            normalised.append((layer, np.asarray(taken)))
        function = _function(layer)
        if function is not None and not activation:
            activation.append((layer, function, np.asarray(given)))

    _run_watched(network, tensors, watch)
    name, inside = _inside(*activation[0]) if activation else ("", 1.0)
    normalisation, spread = _spread(*normalised[0]) if normalised else ("", 1.0)
    return FirstActivations(name, inside, normalisation, spread)


def _run_watched(network: Any, tensors: Floats, watch: Any) -> None:
    """Run the network eagerly; call ``watch`` with each inner layer, its input and its output, in order."""
    layers = {id(layer): layer for layer in network._flatten_layers(include_self=False) if not layer._layers}
    watched = list(layers.values())

    def wrapped(layer: Any, plain: Any) -> Any:
        def call(*args: Any, **kwargs: Any) -> Any:
            given = plain(*args, **kwargs)
            if args:
                watch(layer, args[0], given)
            return given

        return call

    try:
        for layer in watched:
            object.__setattr__(layer, "call", wrapped(layer, layer.call))
        network(tensors, training=False)
    finally:
        for layer in watched:
            object.__delattr__(layer, "call")


def _function(layer: Any) -> str | None:
    """Return the name of a layer's activation; None for a layer without one."""
    from keras import layers

    if isinstance(layer, layers.ReLU):
        plain = layer.negative_slope == 0 and layer.threshold == 0
        return {None: "relu", 6.0: "relu6"}.get(layer.max_value, "other") if plain else "other"
    if isinstance(layer, layers.LeakyReLU | layers.ELU | layers.PReLU | layers.Softmax):
        return "other"
    name = getattr(getattr(layer, "activation", None), "__name__", None)
    return None if name == "linear" else name


def _inside(layer: Any, function: str, values: Floats) -> tuple[str, float]:
    """Return the name of an activation layer, and the share of its values (any shape) that are not at a bound."""
    name = f"{layer.name} ({function})"
    if function == "relu":
        return name, float((values > 0).mean())
    if function not in _BOUNDS:
        return "", 1.0
    low, high = _BOUNDS[function]
    near = _NEAR * (high - low)
    return name, float(((values > low + near) & (values < high - near)).mean())


def _spread(layer: Any, values: Floats) -> tuple[str, float]:
    """Return the name of a BatchNormalization, and how much its input varies compared with the fit."""
    mean, variance = np.asarray(layer.moving_mean), np.asarray(layer.moving_variance)
    if not mean.any() and (variance == 1).all():  # never fitted
        return "", 1.0
    axes = tuple(axis for axis in range(values.ndim) if axis != layer.axis % values.ndim)
    ratio = values.std(axis=axes) / np.sqrt(variance + layer.epsilon)
    return layer.name, float(np.median(ratio))
