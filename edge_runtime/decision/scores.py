"""Scores from logits: temperature, head and positive score.

All arithmetic is float64. A confidence of 0.9999 is therefore representable whatever the network's precision is.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from edge_runtime.bundle.policy import Head
from edge_runtime.bundle.spec import ModelSpec
from edge_runtime.errors import BackendError

Floats = npt.NDArray[np.float64]

BEYOND = 0.01
"""Largest distance outside 0..1 that a probability may have.

int8 rounding adds up to half a step of 1/256; the ranges that a converter chooses may add as much again.
"""


def scores_of(logits: npt.ArrayLike, spec: ModelSpec) -> Floats:
    """Return the score of each label, from logits divided by the policy's temperature.

    Args:
        logits: N×outputs, as the network returns them, any float type.
        spec: the model's spec.

    Returns:
        float64 N×labels, each 0..1.

    Raises:
        BackendError: the head is ``probabilities``, and an output is not a probability.
    """
    if spec.head is Head.PROBABILITIES:
        return _probabilities(logits)
    z = divided(logits, spec)
    if spec.head is Head.SOFTMAX:
        exp: Floats = np.exp(z - z.max(axis=1, keepdims=True))
        return np.asarray(exp / exp.sum(axis=1, keepdims=True))
    if spec.head is Head.SIGMOID:
        return np.concatenate([_sigmoid(-z), _sigmoid(z)], axis=1)
    return _sigmoid(z)


def positive_scores(logits: npt.ArrayLike, spec: ModelSpec) -> Floats:
    """Return the positive score of each image, float64 (N,), 0..1.

    For softmax, sigmoid and probabilities, it is the sum of the positive labels' scores. Independent sigmoids need not
    sum to 1. There it is ``p / (p + n)``, with ``p`` the highest score of a positive label and ``n`` the highest score
    of any other label. A cut-off of 0.5 is then argmax.

    Args:
        logits: N×outputs, as the network returns them, any float type.
        spec: the model's spec.
    """
    positive = np.array([label in spec.positive for label in spec.labels])
    if spec.head is not Head.INDEPENDENT_SIGMOIDS:
        # Rounding may raise the sum of several labels above 1 by a few units in the last place.
        return np.asarray(np.minimum(scores_of(logits, spec)[:, positive].sum(axis=1), 1.0))
    # p / (p + n) computed from logarithms: both sigmoids may underflow, but their ratio does not.
    log_score = -np.logaddexp(0.0, -divided(logits, spec))
    return _sigmoid(log_score[:, positive].max(axis=1) - log_score[:, ~positive].max(axis=1))


def divided(logits: npt.ArrayLike, spec: ModelSpec) -> Floats:
    """Return the logits divided by the temperature, float64.

    Source: Guo et al. 2017, On Calibration of Modern Neural Networks, ICML.
    """
    return np.asarray(np.asarray(logits, dtype=np.float64) / spec.policy.temperature)


def _probabilities(outputs: npt.ArrayLike) -> Floats:
    """Return the outputs as float64, clipped to 0..1; reject outputs further outside than rounding explains."""
    p = np.asarray(outputs, dtype=np.float64)
    if not ((p >= -BEYOND) & (p <= 1 + BEYOND)).all():
        raise BackendError(
            f"network outputs: found {p.min():.4g}..{p.max():.4g}, expected probabilities of 0..1. Export the model "
            "again with the head that fits its outputs."
        )
    return np.asarray(np.clip(p, 0.0, 1.0))


def _sigmoid(z: Floats) -> Floats:
    """Return 1/(1+e^-z), without overflow for large or small z."""
    return np.asarray(np.exp(-np.logaddexp(0.0, -z)))
