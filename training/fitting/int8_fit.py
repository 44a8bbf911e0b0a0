"""Fit a Keras model to the roundings of int8, with its own answers as targets.

No labels are needed: the targets are the outputs of the model before the fit, in float32 (self-distillation). The
result has the same layers, and its filters lie on the int8 grid.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from training.errors import ArtifactError
from training.networks.int8_simulation import extremes, simulated
from training.networks.weight_quantisation import round_filters

Floats = npt.NDArray[np.float32]

RATE = 1e-4
"""Largest step of Adam; it ends at a tenth of it."""

_TINY = 1e-6


@dataclass(frozen=True)
class FittedToInt8:
    """A model fitted to int8, and its simulated int8 error.

    Attributes:
        model: the fitted model; its filters lie on the int8 grid.
        before, after: mean |Δ output| between the simulated int8 model and the float32 outputs of the given model.
    """

    model: keras.Model
    before: float
    after: float


def fit_to_int8(
    model: keras.Model,
    images: Floats,
    *,
    epochs: int,
    batch: int = 16,
    seed: int = 0,
    tell: Callable[[int, float], None] = lambda epoch, error: None,
) -> FittedToInt8:
    """Fit ``model`` to int8. The epoch with the smallest error is kept; epoch 0 only rounds.

    Args:
        model: a functional Keras model with one input and one output.
        images: preprocessed images, float32 N×H×W×C, of training patients.
        epochs: passes over the images.
        batch: images per step.
        seed: order of the images.
        tell: called after each epoch with its number and error.

    Raises:
        ArtifactError: the model is not functional, or has several inputs or outputs.
    """
    if not hasattr(model, "operations") and not isinstance(model, keras.Sequential):
        raise ArtifactError("found a subclassed model, expected a functional one. Build it with keras.Model(in, out).")
    if len(model.inputs) != 1 or len(model.outputs) != 1:
        raise ArtifactError(
            f"found {len(model.inputs)} inputs and {len(model.outputs)} outputs, expected one each. Cut the model."
        )
    model = keras.Model(model.inputs[0], model.outputs[0])  # a Sequential has no graph to copy
    parts = [images[start : start + batch] for start in range(0, len(images), batch)]
    targets = [np.asarray(model(part, training=False)) for part in parts]
    student = simulated(model, extremes(model, parts))
    latent = student.get_weights()
    before = _error_on_grid(student, latent, parts, targets)
    best, weights = before, student.get_weights()
    optimiser = keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(RATE, max(1, epochs * len(parts)), 0.1))
    order = np.random.default_rng(seed)
    step = _step(student, optimiser)
    for epoch in range(1, epochs + 1):
        for i in order.permutation(len(parts)):
            latent = step(latent, parts[i], targets[i])
        error = _error_on_grid(student, latent, parts, targets)
        tell(epoch, error)
        if error < best:
            best, weights = error, student.get_weights()
    done = keras.models.clone_model(model)
    done.set_weights(weights)
    return FittedToInt8(done, before, best)


def _error_on_grid(student: keras.Model, latent: list[Floats], parts: Sequence[Floats], targets: list[Floats]) -> float:
    """Put the weights on the grid into ``student``; return its mean |Δ output|."""
    student.set_weights(latent)
    round_filters(_layers(student))
    found = [
        np.abs(np.asarray(student(part, training=False)) - target) for part, target in zip(parts, targets, strict=True)
    ]
    return float(np.concatenate(found).mean())


def _layers(model: keras.Model) -> list[Any]:
    """Return all layers, also those of models inside the model."""
    return list(model._flatten_layers(include_self=False, recursive=True))


def _step(student: keras.Model, optimiser: Any) -> Callable[[list[Floats], Floats, Floats], list[Floats]]:
    """Return one step of the fit: latent weights, images and targets → changed latent weights.

    The gradient is computed at the rounded filters, and applied to the weights before rounding.
    """
    import tensorflow as tf

    @tf.function(reduce_retracing=True)  # type: ignore[untyped-decorator]
    def gradients(part: Any, target: Any) -> Any:
        with tf.GradientTape() as tape:
            found = student(part, training=False)
            loss = tf.reduce_mean(tf.square(_spread(found, target) - _spread(target, target)))
        return tape.gradient(loss, student.trainable_variables)

    def step(latent: list[Floats], part: Floats, target: Floats) -> list[Floats]:
        student.set_weights(latent)
        round_filters(_layers(student))
        found = gradients(tf.constant(part), tf.constant(target))
        student.set_weights(latent)
        pairs = [
            (gradient, variable)
            for gradient, variable in zip(found, student.trainable_variables, strict=True)
            if gradient is not None
        ]
        optimiser.apply_gradients(pairs)
        return list(student.get_weights())

    return step


def _spread(values: Any, target: Any) -> Any:
    """Return log-odds if the targets are probabilities, whose differences are small near 0 and 1; else the values."""
    import tensorflow as tf

    probabilities = tf.reduce_all((target >= 0) & (target <= 1))
    inside = tf.clip_by_value(values, _TINY, 1 - _TINY)
    return tf.where(probabilities, tf.math.log(inside) - tf.math.log1p(-inside), values)
