"""Statistical tests of whether labelled images contradict a network, and whether an alternative scores better.

Each rule requires a result that is unlikely by chance, so small folders and difficult data give no warning.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.optimize import linear_sum_assignment
from scipy.stats import binom, norm

from edge_runtime.bundle.spec import ModelSpec
from edge_runtime.decision.scores import positive_scores, scores_of
from training.metrics.binary import auroc, positive_truth

Logits = npt.NDArray[np.float32]
Labels = npt.NDArray[np.int64]

_RARE = 0.01
"""A finding is reported if its probability by chance is lower."""

_RARE_AMONG_MANY = 0.001
"""The same limit if several alternatives were tried and nothing else is suspicious."""

_USELESS = 0.6
"""If the upper 95 % bound of an AUROC is lower, the network hardly ranks the images."""

_FEWEST_OTHERS = 10
"""Smallest number of missed images of the other class for which one decision for all images is reported. A network that
detects each with probability 0.37 misses all ten with probability 0.01."""

_CLEARLY_BETTER = 0.1
"""Smallest increase in mean recall for which an alternative is reported."""


@dataclass(frozen=True)
class LabelledScores:
    """Results of a network on N labelled images.

    Attributes:
        right: whether the label with the highest score is the true one, bool N.
        recall: mean recall over the labels that occur, 0..1.
    """

    right: npt.NDArray[np.bool_]
    recall: float


def answered(logits: Logits, truth: Labels, spec: ModelSpec, order: Labels | None = None) -> LabelledScores:
    """Compare logits (float32 N×outputs) with labels.

    Args:
        order: for each label of the spec, the index of its output; by default the spec's order.
    """
    called = scores_of(logits, spec).argmax(axis=1)
    right = called == (truth if order is None else order[truth])
    return LabelledScores(right, float(np.mean([right[truth == label].mean() for label in np.unique(truth)])))


def best_order(logits: Logits, truth: Labels, spec: ModelSpec) -> Labels:
    """Return, for each label of the spec, the index of the output that predicts it best; each output is used once."""
    called = scores_of(logits, spec).argmax(axis=1)
    count = len(spec.labels)
    shares = np.zeros((count, count))
    for label in np.unique(truth):
        shares[label] = np.bincount(called[truth == label], minlength=count) / (truth == label).sum()
    # prefer the spec's order among equals
    return np.asarray(linear_sum_assignment(shares + np.eye(count) * 1e-9, maximize=True)[1], np.int64)


def suspicion(logits: Logits, truth: Labels, spec: ModelSpec) -> str:
    """Return the fault of a network on labelled images as ``found …, expected …``; empty if there is none."""
    positive, score = positive_truth(truth, spec), positive_scores(logits, spec)
    n, area = f"{len(truth)} labelled parity images", auroc(positive, score)
    called = score >= spec.policy.cutoff
    others = int((positive != called[0]).sum())
    if called.all() == called.any() and others >= _FEWEST_OTHERS:
        answer = "POSITIVE" if called[0] else "NEGATIVE"
        return f"found the answer {answer} for all {n}, of which {others} are not, expected both answers"
    if _ranks_nothing(positive, area):
        return f"found an AUROC of {area:.3f} on {n}, expected more than 0.5"
    found = answered(logits, truth, spec)
    if _below_chance(found.recall, truth):
        return f"{_fewer(found, truth, spec)}, and each label less often than by chance, expected more"
    return ""


def remark(logits: Logits, truth: Labels, spec: ModelSpec) -> str:
    """Return a warning for low accuracy, which may be intended, for example after fitting on balanced labels."""
    found = answered(logits, truth, spec)
    most = int(np.bincount(truth).max())
    if binom.cdf(int(found.right.sum()), len(truth), most / len(truth)) < _RARE:
        return f"{_fewer(found, truth, spec)}. Compare the labels and the steps with how the network was fitted."
    return ""


def _fewer(found: LabelledScores, truth: Labels, spec: ModelSpec) -> str:
    counts = np.bincount(truth)
    always = f"{counts.max()} of always saying {spec.labels[int(counts.argmax())]}"
    return f"found {found.right.sum()} of {len(truth)} labelled parity images right, fewer than the {always}"


def _ranks_nothing(positive: npt.NDArray[np.bool_], area: float) -> bool:
    """Return whether an AUROC is significantly below 0.5, or its upper bound is below :data:`_USELESS`.

    The standard error is that of a random ranking (Mann & Whitney 1947).
    """
    ones = int(positive.sum())
    zeros = len(positive) - ones
    if not (ones and zeros):
        return False
    error = np.sqrt((ones + zeros + 1) / (12 * ones * zeros))
    useless = min(ones, zeros) >= _FEWEST_OTHERS and area + norm.ppf(0.975) * error < _USELESS
    return bool(norm.cdf((area - 0.5) / error) < _RARE or useless)


def _below_chance(recall: float, truth: Labels) -> bool:
    """Return whether a mean recall is significantly lower than that of random labels."""
    counts = np.bincount(truth)
    chance = 1 / (counts > 0).sum()
    error = chance * np.sqrt((chance * (1 - chance) / counts[counts > 0]).sum())
    return bool(norm.cdf((recall - chance) / error) < _RARE)


def does_better(other: LabelledScores, own: LabelledScores, *, suspicious: bool) -> bool:
    """Return whether an alternative is correct on significantly more of the same images than the network.

    The exact McNemar test (1947) counts the images on which the two differ.

    Args:
        suspicious: whether :func:`suspicion` found a fault in the network itself.
    """
    gained, lost = int((other.right & ~own.right).sum()), int((own.right & ~other.right).sum())
    chance = float(binom.sf(gained - 1, gained + lost, 0.5))
    rare = _RARE if suspicious else _RARE_AMONG_MANY
    return other.recall - own.recall >= _CLEARLY_BETTER and chance < rare
