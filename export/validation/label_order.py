"""The order of labels that fits a network's outputs best, and how often the network is right with it."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.optimize import linear_sum_assignment

from edge_runtime.bundle.spec import ModelSpec
from edge_runtime.decision.scores import scores_of
from export.validation.suspicion import LabelledScores

Logits = npt.NDArray[np.float32]
Labels = npt.NDArray[np.int64]


def best_order(logits: Logits, truth: Labels, spec: ModelSpec) -> Labels:
    """Return, for each label of the spec, the index of the output that predicts it best; each output is used once."""
    return _best(scores_of(logits, spec).argmax(axis=1), truth, len(spec.labels))


def in_best_order(logits: Logits, truth: Labels, spec: ModelSpec) -> LabelledScores:
    """Compare logits (float32 N×outputs) with labels in the best order.

    Two labels have one other order. Of more labels, the order is chosen on one half of the images and applied to the
    other half: the best of many orders would otherwise score better than the spec's by chance.
    """
    called, count = scores_of(logits, spec).argmax(axis=1), len(spec.labels)
    if count == 2:
        return LabelledScores.of(called == _best(called, truth, count)[truth], truth)
    right, half = np.zeros(len(truth), np.bool_), _halves(truth)
    for mine in (half, ~half):
        right[mine] = called[mine] == _best(called[~mine], truth[~mine], count)[truth[mine]]
    return LabelledScores.of(right, truth)


def _best(called: Labels, truth: Labels, count: int) -> Labels:
    shares = np.zeros((count, count))
    for label in np.unique(truth):
        shares[label] = np.bincount(called[truth == label], minlength=count) / (truth == label).sum()
    # prefer the spec's order among equals
    return np.asarray(linear_sum_assignment(shares + np.eye(count) * 1e-9, maximize=True)[1], np.int64)


def _halves(truth: Labels) -> npt.NDArray[np.bool_]:
    """Return a half of the images of each label: every other one."""
    half = np.zeros(len(truth), np.bool_)
    for label in np.unique(truth):
        half[np.flatnonzero(truth == label)[::2]] = True
    return half
