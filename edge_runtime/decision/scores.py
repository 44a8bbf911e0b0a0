"""From logits to scores: temperature, head, positive score.

Everything here is float64 arithmetic on a handful of numbers, so that a confidence of 0.9999 exists
whatever the network's own precision is.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from edge_runtime.bundle.policy import Head
from edge_runtime.bundle.spec import ModelSpec
from edge_runtime.errors import BackendError

Floats = npt.NDArray[np.float64]

BEYOND = 0.01
"""How far outside 0..1 a probability may lie: int8 rounds by half a step of 1/256, a converter's ranges by another."""


def scores_of(logits: npt.ArrayLike, spec: ModelSpec) -> Floats:
    """Return the scores of each label, from logits divided by the policy's temperature.

    Args:
        logits: N×outputs as the network gives them, any float type.

    Returns:
        float64 N×labels, each 0..1.

    Raises:
        BackendError: head probabilities, and an output is none.
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
    """Return the positive score of each image, float64 N in 0..1.

    For softmax, sigmoid and probabilities it is the sum of the positive labels' scores. Independent sigmoids need not
    sum to one; there it is the share of the strongest positive label among it and the strongest other
    label, so that a cut-off of 0.5 is argmax.

    Args:
        logits: N×outputs as the network gives them, any float type.
    """
    positive = np.array([label in spec.positive for label in spec.labels])
    if spec.head is not Head.INDEPENDENT_SIGMOIDS:
        # rounding may lift the sum of several labels a few units in the last place over 1
        return np.asarray(np.minimum(scores_of(logits, spec)[:, positive].sum(axis=1), 1.0))
    # a/(a+b) in the logarithm: both sigmoids may underflow, their ratio does not
    log_score = -np.logaddexp(0.0, -divided(logits, spec))
    return _sigmoid(log_score[:, positive].max(axis=1) - log_score[:, ~positive].max(axis=1))


def divided(logits: npt.ArrayLike, spec: ModelSpec) -> Floats:
    """Return logits over temperature (Guo et al. 2017, On Calibration of Modern Neural Networks, ICML), float64."""
    return np.asarray(np.asarray(logits, dtype=np.float64) / spec.policy.temperature)


def _probabilities(outputs: npt.ArrayLike) -> Floats:
    """Pass on what is 0..1, and clip what rounding put beyond it."""
    p = np.asarray(outputs, dtype=np.float64)
    if not ((p >= -BEYOND) & (p <= 1 + BEYOND)).all():
        raise BackendError(
            f"the network answered {p.min():.4g}..{p.max():.4g}, expected probabilities of 0..1. Export the model "
            "again with the head that its outputs are made for."
        )
    return np.asarray(np.clip(p, 0.0, 1.0))


def _sigmoid(z: Floats) -> Floats:
    """Return 1/(1+e^-z) without overflow on either side."""
    return np.asarray(np.exp(-np.logaddexp(0.0, -z)))
