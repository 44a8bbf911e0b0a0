"""Make a network with random weights useful as a test: its activations are bounded, and it is right about its images.

The images are dark or bright noise. No training is needed, so a network of any size takes seconds:

1. BatchNorms get an offset of two standard deviations, so that ReLU cuts little. Otherwise deep random networks are
   chaotic: of 27 BatchNorms and ReLUs, MobileNet's enlarge rounding 1,000 times and leave nothing of the brightness.
2. BatchNorms take the moments of the images, in one pass. Otherwise activations of deep networks vanish or grow.
3. The last layer is fitted by least squares.

This file imports only NumPy and Keras. Another Python, with another TensorFlow, runs it as a script
(:mod:`export.coverage.elsewhere`).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]

SIDE = 32
"""Side of an image in pixels, if a network allows it."""

_OFFSET = 2.0
"""Offset of BatchNorms, in standard deviations of what they give."""

_TARGET = 4.0
"""Logit to which the last layer is fitted. The score of an image is then about 0.98 or more."""

_RIDGE = 1e-3
"""Weight of the squared weights, relative to the mean square of the features."""


def drawn(count: int, side: int, seed: int) -> npt.NDArray[np.uint8]:
    """Return images, uint8 N×side×side×3, in turns dark (label 0) and bright (label 1)."""
    rng = np.random.default_rng(seed)
    level = 70.0 + 110.0 * (np.arange(count) % 2)
    noise = rng.normal(0.0, 25.0, (count, side, side, 3))
    return np.clip(level[:, None, None, None] + noise, 0, 255).astype(np.uint8)


def settle(keras: Any, model: Any, tensors: Floats) -> None:
    """Change the weights of ``model`` in place.

    Args:
        keras: the module of the Keras that built the model.
        model: a functional or sequential network. Its last layer with weights, a Dense or a Conv2D on a 1×1 map, gives
            the logits.
        tensors: what the network takes, float32 N×H×W×C, in turns dark and bright.
    """
    norms = [layer for layer in _layers(model) if type(layer).__name__ == "BatchNormalization"]
    kept = [norm.momentum for norm in norms]
    for norm in norms:
        norm.momentum = 0.0
        if norm.center:
            norm.beta.assign(np.full(norm.beta.shape, _OFFSET, np.float32))
    if norms:
        model(tensors, training=True)
    for norm, momentum in zip(norms, kept):  # noqa: B905  # Python 3.9 has no strict
        norm.momentum = momentum
    last = [layer for layer in model.layers if type(layer).__name__ in ("Dense", "Conv2D")][-1]
    features = np.asarray(keras.Model(model.inputs, last.input)(tensors, training=False), dtype=np.float64)
    _fit(last, features.reshape(len(tensors), -1))


def _layers(model: Any) -> list[Any]:
    """Return all layers, also those of nested networks and wrappers."""
    return list(model._flatten_layers())


def _fit(last: Any, features: npt.NDArray[np.float64]) -> None:
    """Fit the last layer to -4 and 4 for dark and bright images; several outputs alternate in sign."""
    kernel, bias = last.get_weights()
    outputs = bias.shape[0]
    sign = 2.0 * (np.arange(len(features)) % 2) - 1.0
    signs = np.array([1.0]) if outputs == 1 else 2.0 * (np.arange(outputs) % 2) - 1.0
    middle = features.mean(axis=0)
    centred = features - middle
    gram = centred @ centred.T
    gram += np.eye(len(features)) * _RIDGE * max(np.trace(gram) / len(features), 1e-12)
    weights = centred.T @ np.linalg.solve(gram, _TARGET * np.outer(sign, signs))
    last.set_weights([weights.reshape(kernel.shape).astype(np.float32), (-middle @ weights).astype(np.float32)])
