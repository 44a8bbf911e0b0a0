"""Statistical test of whether an alternative scores better than a network on the same labelled images."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.stats import rankdata

from export.validation.suspicion import LabelledScores

Floats = npt.NDArray[np.float64]

_RARE = 0.01
"""Limit of the probability by chance, divided by the number of comparisons (Bonferroni)."""

_CLEARLY_BETTER = 0.05
"""Smallest increase in mean recall or AUROC for which an alternative is reported."""

_DRAWS, _BATCH = 40_000, 2_000
"""Number of random draws. The smallest probability that they can show is 1 in 40,001. Draws end after a batch in which
the probability is clearly higher than any limit."""


def does_better(other: LabelledScores, own: LabelledScores, *, tried: int = 1) -> bool:
    """Return whether an alternative has a clearly and significantly higher mean recall or AUROC.

    Args:
        tried: number of alternatives tried, each with two comparisons.
    """
    limit = _RARE / (2 * tried)
    if other.recall - own.recall >= _CLEARLY_BETTER and recall_gain_by_chance(other, own) < limit:
        return True
    return other.auroc - own.auroc >= _CLEARLY_BETTER and auroc_gain_by_chance(other, own) < limit


def recall_gain_by_chance(other: LabelledScores, own: LabelledScores) -> float:
    """Return the probability of so large a gain in mean recall by chance.

    McNemar's test (1947) for several labels of equal weight: of the images of a label on which the two differ, each is
    gained or lost with probability 0.5.
    """
    found, drawn = 0.0, np.zeros(_DRAWS)
    rng = np.random.default_rng(0)
    for label in np.unique(own.truth):
        mine = own.truth == label
        gained = int((other.right & ~own.right & mine).sum())
        differing = gained + int((own.right & ~other.right & mine).sum())
        found += (2 * gained - differing) / mine.sum()
        drawn += (2 * rng.binomial(differing, 0.5, _DRAWS) - differing) / mine.sum()
    return _share(drawn, found)


def auroc_gain_by_chance(other: LabelledScores, own: LabelledScores) -> float:
    """Return the probability of so large a gain in AUROC by chance; 1 where one class is missing.

    Permutation test of paired ranks (Bandos, Rockette & Gur 2005, Statistics in Medicine 24:2873): the ranks that the
    two give to an image are exchanged with probability 0.5.
    """
    positive = own.positive
    if positive.all() or not positive.any():
        return 1.0
    ranks = np.stack([rankdata(own.score), rankdata(other.score)])
    found = float(np.diff(_areas(ranks, positive))[0])
    rng, drawn, chance = np.random.default_rng(0), [], 1.0
    for _ in range(_DRAWS // _BATCH):
        swapped = rng.random((_BATCH, len(positive))) < 0.5
        drawn.append(_areas(np.where(swapped, *ranks), positive) - _areas(np.where(swapped, *ranks[::-1]), positive))
        if (chance := _share(np.concatenate(drawn), found)) > 3 * _RARE:
            break
    return chance


def _areas(ranks: Floats, positive: npt.NDArray[np.bool_]) -> Floats:
    """Return the AUROC of each row of scores (float64 R×N)."""
    ones = int(positive.sum())
    above = rankdata(ranks, axis=1)[:, positive].sum(axis=1) - ones * (ones + 1) / 2
    return np.asarray(above / (ones * (len(positive) - ones)))


def _share(drawn: Floats, found: float) -> float:
    """Return the share of draws that are at least ``found``, which counts as one of them."""
    return float((1 + (drawn >= found - 1e-9).sum()) / (1 + len(drawn)))
