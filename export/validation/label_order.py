"""The order of labels that fits a network's outputs best, and its results with it."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.optimize import linear_sum_assignment

from edge_runtime.bundle.policy import Head
from edge_runtime.bundle.spec import ModelSpec
from edge_runtime.decision.scores import scores_of
from export.validation.suspicion import LabelledScores, answered

Logits = npt.NDArray[np.float32]
Labels = npt.NDArray[np.int64]


def best_order(logits: Logits, truth: Labels, spec: ModelSpec) -> Labels:
    """Return, for each label of the spec, the index of the output that predicts it best; each output is used once.

    Of two labels it is the other order, since no other exists.
    """
    count = len(spec.labels)
    if count == 2:
        return np.array([1, 0])
    called, shares = scores_of(logits, spec).argmax(axis=1), np.zeros((count, count))
    for label in np.unique(truth):
        shares[label] = np.bincount(called[truth == label], minlength=count) / (truth == label).sum()
    # prefer the spec's order among equals
    return np.asarray(linear_sum_assignment(shares + np.eye(count) * 1e-9, maximize=True)[1], np.int64)


def in_order(logits: Logits, order: Labels, spec: ModelSpec) -> Logits:
    """Return logits (float32 N×outputs) as of a network whose outputs have the labels in another order."""
    if spec.head is Head.SIGMOID:
        return logits if order[0] == 0 else -logits
    return logits[:, order]


def in_best_order(logits: Logits, truth: Labels, spec: ModelSpec) -> LabelledScores:
    """Compare logits (float32 N×outputs) with labels in the best order.

    Of more than two labels, the order is chosen on one half of the images and applied to the other half: the best of
    many orders would otherwise score better than the spec's by chance.
    """
    ordered, half = np.empty_like(logits), _half(truth)
    for mine in (half, ~half):
        ordered[mine] = in_order(logits[mine], best_order(logits[~mine], truth[~mine], spec), spec)
    return answered(ordered, truth, spec)


def _half(truth: Labels) -> npt.NDArray[np.bool_]:
    """Return which images are in a half of the images of each label: every other one."""
    half = np.zeros(len(truth), np.bool_)
    for label in np.unique(truth):
        half[np.flatnonzero(truth == label)[::2]] = True
    return half
