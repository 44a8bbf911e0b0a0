"""Whether labelled images contradict a network, and which alternative does better: statistics on logits and labels.

Each rule needs evidence that chance does not give: small folders and hard data raise no alarm.
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
"""A finding is told if chance gives it less often."""

_RARE_AMONG_MANY = 0.001
"""The same where several alternatives were tried, and nothing else is suspicious."""

_USELESS = 0.6
"""An AUROC of which the upper 95 % bound is lower than this ranks next to nothing."""

_FEWEST_OTHERS = 10
"""Images of the other kind that are all missed before one answer for everything is no accident: a network that finds
each with a chance of 0.37 misses all ten in one of a hundred folders."""

_CLEARLY_BETTER = 0.1
"""By so much the mean recall of an alternative must be higher."""


@dataclass(frozen=True)
class LabelledScores:
    """What a network says of N labelled images.

    Attributes:
        right: bool N, whether the label of the highest score is the true one.
        recall: mean over the labels that occur of the share of each that is right, 0..1.
    """

    right: npt.NDArray[np.bool_]
    recall: float


def answered(logits: Logits, truth: Labels, spec: ModelSpec, order: Labels | None = None) -> LabelledScores:
    """Compare logits (float32 N×outputs) with labels.

    Args:
        order: for each label of the spec the output that is taken for it; by default its own.
    """
    called = scores_of(logits, spec).argmax(axis=1)
    right = called == (truth if order is None else order[truth])
    return LabelledScores(right, float(np.mean([right[truth == label].mean() for label in np.unique(truth)])))


def best_order(logits: Logits, truth: Labels, spec: ModelSpec) -> Labels:
    """Return for each label of the spec the output that answers it best, each output once."""
    called = scores_of(logits, spec).argmax(axis=1)
    count = len(spec.labels)
    shares = np.zeros((count, count))
    for label in np.unique(truth):
        shares[label] = np.bincount(called[truth == label], minlength=count) / (truth == label).sum()
    # of equal orders the spec's own
    return np.asarray(linear_sum_assignment(shares + np.eye(count) * 1e-9, maximize=True)[1], np.int64)


def suspicion(logits: Logits, truth: Labels, spec: ModelSpec) -> str:
    """Return what is wrong with a network on labelled images, as ``found …, expected …``; empty if nothing is."""
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
    """Return what is worth a warning though it may be meant: a network fitted on as many images of each label, say."""
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
    """Whether an AUROC lies below 0.5 by more than chance, or surely below :data:`_USELESS`.

    Its standard error is that of a ranking that knows nothing (Mann & Whitney 1947).
    """
    ones = int(positive.sum())
    zeros = len(positive) - ones
    if not (ones and zeros):
        return False
    error = np.sqrt((ones + zeros + 1) / (12 * ones * zeros))
    useless = min(ones, zeros) >= _FEWEST_OTHERS and area + norm.ppf(0.975) * error < _USELESS
    return bool(norm.cdf((area - 0.5) / error) < _RARE or useless)


def _below_chance(recall: float, truth: Labels) -> bool:
    """Whether a mean recall is lower than that of labels drawn at random, by more than chance."""
    counts = np.bincount(truth)
    chance = 1 / (counts > 0).sum()
    error = chance * np.sqrt((chance * (1 - chance) / counts[counts > 0]).sum())
    return bool(norm.cdf((recall - chance) / error) < _RARE)


def does_better(other: LabelledScores, own: LabelledScores, *, suspicious: bool) -> bool:
    """Whether an alternative is right about clearly more images than a network, on the same images.

    The images on which the two differ are counted (McNemar 1947, the exact test).

    Args:
        suspicious: whether the network is by itself.
    """
    gained, lost = int((other.right & ~own.right).sum()), int((own.right & ~other.right).sum())
    chance = float(binom.sf(gained - 1, gained + lost, 0.5))
    rare = _RARE if suspicious else _RARE_AMONG_MANY
    return other.recall - own.recall >= _CLEARLY_BETTER and chance < rare
