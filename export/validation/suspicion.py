"""Statistical tests of whether labelled images contradict a network.

Each rule requires a result that is unlikely by chance, so small folders and difficult data stop no export. What looks
bad without being shown is reported by :func:`not_shown`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.stats import binom, mannwhitneyu, norm

from edge_runtime.bundle.spec import ModelSpec
from edge_runtime.decision.scores import positive_scores, scores_of
from training.metrics.binary import auroc, positive_truth

Logits = npt.NDArray[np.float32]
Labels = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

_RARE = 0.01
"""A finding is reported if its probability by chance is lower."""

_USELESS = 0.6
"""If the upper 95 % bound of an AUROC is lower, the network hardly ranks the images."""

_FEWEST_OTHERS = 10
"""Smallest number of missed images of the other class for which one decision for all images is reported. A network that
detects each with probability 0.37 misses all ten with probability 0.01."""


@dataclass(frozen=True)
class LabelledScores:
    """Results of a network on N labelled images.

    Attributes:
        truth: index of the label, int64 N.
        right: whether the label that an answer shows is the true one, bool N.
        positive: whether the label is positive, bool N.
        score: positive score, float64 N.
    """

    truth: Labels
    right: Bools
    positive: Bools
    score: npt.NDArray[np.float64]

    @property
    def recall(self) -> float:
        """Mean recall over the labels that occur, 0..1."""
        return float(np.mean([self.right[self.truth == label].mean() for label in np.unique(self.truth)]))

    @property
    def auroc(self) -> float:
        """AUROC of the positive score."""
        return auroc(self.positive, self.score)


def answered(logits: Logits, truth: Labels, spec: ModelSpec) -> LabelledScores:
    """Compare logits (float32 N×outputs) with labels."""
    right = shown_labels(logits, spec) == truth
    return LabelledScores(truth, right, positive_truth(truth, spec), positive_scores(logits, spec))


def suspicion(logits: Logits, truth: Labels, spec: ModelSpec) -> str:
    """Return the fault of a network on labelled images as ``found …, expected …``; empty if there is none."""
    same = _one_answer(logits, truth, spec)
    if same or len(np.unique(truth)) < 2:
        return same
    positive, score = positive_truth(truth, spec), positive_scores(logits, spec)
    if _ranks_nothing(positive, score):
        area = auroc(positive, score)
        return f"found an AUROC of {area:.3f} on {len(truth)} labelled parity images, expected more than 0.5"
    highest = scores_of(logits, spec).argmax(axis=1) == truth  # whatever the cut-off is, which may favour a label
    if _below_chance(answered(logits, truth, spec).recall, truth):
        return f"{_fewer(highest, truth, spec)}, and each label less often than by chance, expected more"
    if gain_by_chance(truth == _commonest(truth), highest) < _RARE:
        return f"{_fewer(highest, truth, spec)}, expected more"
    return ""


def _one_answer(logits: Logits, truth: Labels, spec: ModelSpec) -> str:
    """Return the fault if all images get one decision or one label, and ten or more should have another."""
    positive, called = positive_truth(truth, spec), positive_scores(logits, spec) >= spec.policy.cutoff
    n, others = f"{len(truth)} labelled parity images", int((positive != called[0]).sum())
    if called.all() == called.any() and others >= _FEWEST_OTHERS:
        answer = "POSITIVE" if called[0] else "NEGATIVE"
        return f"found the answer {answer} for all {n}, of which {others} are not, expected both answers"
    label = shown_labels(logits, spec)
    others = int((truth != label[0]).sum())
    if (label == label[0]).all() and others >= _FEWEST_OTHERS:
        return f"found the label {spec.labels[label[0]]} for all {n}, of which {others} have another, expected others"
    return ""


def shown_labels(logits: Logits, spec: ModelSpec) -> Labels:
    """Return the label that an answer shows, int64 N: the one with the highest score on the side of the decision."""
    positive = np.array([label in spec.positive for label in spec.labels])
    side = positive_scores(logits, spec) >= spec.policy.cutoff
    shown = np.where(positive == side[:, np.newaxis], scores_of(logits, spec), -1.0)
    return np.asarray(shown.argmax(axis=1), np.int64)


def not_shown(logits: Logits, truth: Labels, spec: ModelSpec) -> str:
    """Return what looks bad although no fault is shown, because images are too few; empty if nothing does."""
    positive, score = positive_truth(truth, spec), positive_scores(logits, spec)
    counts = np.bincount(truth, minlength=len(spec.labels))
    counted = ", ".join(f"{count} {name}" for count, name in zip(counts, spec.labels, strict=True))
    highest = scores_of(logits, spec).argmax(axis=1) == truth
    area = auroc(positive, score)
    if (counts > 0).sum() < 2:
        seen = f"found one label among the {len(truth)} labelled parity images ({counted})"
    elif area < 0.5:
        seen = f"found an AUROC of {area:.3f} on {len(truth)} labelled parity images ({counted})"
    elif highest.sum() < counts.max():
        seen = f"{_fewer(highest, truth, spec)} ({counted})"
    else:
        return ""
    return f"{seen}. They are too few to show a fault: not shown. Give more labelled images of each label."


def has_skill(logits: Logits, truth: Labels, spec: ModelSpec) -> bool:
    """Return whether the positive scores rank the images better than chance (1 %)."""
    positive, score = positive_truth(truth, spec), positive_scores(logits, spec)
    return _ranked_by_chance(positive, -score) < _RARE


def gain_by_chance(other: Bools, own: Bools) -> float:
    """Return the probability that ``other`` is right on so many more of N images by chance.

    The exact McNemar test (1947), one-sided: it counts the images on which the two differ.
    """
    gained, lost = int((other & ~own).sum()), int((own & ~other).sum())
    return float(binom.sf(gained - 1, gained + lost, 0.5))


def _commonest(truth: Labels) -> int:
    return int(np.bincount(truth).argmax())


def _fewer(right: Bools, truth: Labels, spec: ModelSpec) -> str:
    label = _commonest(truth)
    always = f"{(truth == label).sum()} of always saying {spec.labels[label]}"
    return f"found {right.sum()} of {len(truth)} labelled parity images right, fewer than the {always}"


def _ranks_nothing(positive: Bools, score: npt.NDArray[np.float64]) -> bool:
    """Return whether an AUROC is significantly below 0.5, or its upper bound is below :data:`_USELESS`."""
    if _ranked_by_chance(positive, score) < _RARE:
        return True
    ones = int(positive.sum())
    zeros = len(positive) - ones
    if min(ones, zeros) < _FEWEST_OTHERS:
        return False
    error = np.sqrt((ones + zeros + 1) / (12 * ones * zeros))  # of a random ranking
    return bool(auroc(positive, score) + norm.ppf(0.975) * error < _USELESS)


def _ranked_by_chance(positive: Bools, score: npt.NDArray[np.float64]) -> float:
    """Return the probability of so low an AUROC by chance (Mann & Whitney 1947).

    Exact for few images of a label without equal scores; otherwise the normal approximation, corrected for ties.
    """
    if positive.all() or not positive.any() or np.ptp(score) == 0:
        return 1.0
    return float(mannwhitneyu(score[positive], score[~positive], alternative="less").pvalue)


def _below_chance(recall: float, truth: Labels) -> bool:
    """Return whether a mean recall is significantly lower than that of random labels."""
    counts = np.bincount(truth)
    chance = 1 / (counts > 0).sum()
    error = chance * np.sqrt((chance * (1 - chance) / counts[counts > 0]).sum())
    return bool(norm.cdf((recall - chance) / error) < _RARE)
