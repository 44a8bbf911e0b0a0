"""Compare two decisions on the same cases: figures with intervals, and exact paired tests."""

from __future__ import annotations

from math import comb

import numpy as np
import numpy.typing as npt

from edge_runtime.assurance.binomial import at_most, interval
from edge_runtime.bundle.site_policy import Change, Interval

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

_DRAWS = 2000
_SEED = 20
_ONE_DRAW = 1e-9
"""In place of a share of 0, where it is a divisor."""


def sign_test(gained: int, lost: int) -> float:
    """Return the one-sided p-value of as many gains among changed cases, if gains and losses were equally likely.

    This is the exact test of McNemar 1947 (Psychometrika 12:153) in one direction.

    Args:
        gained: cases that were wrong before and are right after.
        lost: cases that were right before and are wrong after.
    """
    return at_most(lost, gained + lost, 0.5)


def balanced_sign_test(positive: tuple[int, int, int], negative: tuple[int, int, int]) -> float:
    """Return the one-sided p-value of the gain in sensitivity + specificity, if gains and losses were equally likely.

    It is the exact sign-flip test: every changed case counts with the weight of its class, 1 / cases. All numbers of
    gains are counted.

    Args:
        positive: gained, lost and all positive cases.
        negative: gained, lost and all negative cases.
    """
    (gained, lost, cases), (other_gained, other_lost, other_cases) = positive, negative
    changed, other_changed = gained + lost, other_gained + other_lost
    seen = (gained - lost) * other_cases + (other_gained - other_lost) * cases  # whole numbers, so ties are exact
    p = 0.0
    for count in range(changed + 1):
        rest = seen - (2 * count - changed) * other_cases  # what the other class must give
        least = -((-rest - other_changed * cases) // (2 * cases))
        p += comb(changed, count) / 2**changed * (1.0 - at_most(least - 1, other_changed, 0.5))
    return min(1.0, p)


def share_change(name: str, before: Bools, after: Bools) -> Change:
    """Return the change of a share of right cases.

    The intervals of the shares are those of Clopper and Pearson. That of the difference is by paired bootstrap over
    cases.

    Args:
        name: of the figure.
        before, after: bool G, whether each case is right.
    """
    cases = len(before)
    return Change(name, cases, _share(before), _share(after), bootstrap_mean([after.astype(np.float64) - before]))


def _share(right: Bools) -> Interval:
    count = int(right.sum())
    return Interval(count / len(right), *interval(count, len(right)))


def balanced_change(positive: Bools, before: Bools, after: Bools) -> Change:
    """Return the change of the balanced accuracy: the mean of sensitivity and specificity. Arguments are bool G."""
    parts = [(before[chosen].astype(np.float64), after[chosen].astype(np.float64)) for chosen in (positive, ~positive)]
    return Change(
        "balanced accuracy",
        len(positive),
        bootstrap_mean([each[0] for each in parts]),
        bootstrap_mean([each[1] for each in parts]),
        bootstrap_mean([each[1] - each[0] for each in parts]),
    )


def margin_over_chance(positive: Bools, before: Bools, after: Bools) -> Interval:
    """Return how much more specificity is kept than by chance at the same sensitivity, with a 95 % interval.

    By chance means: cases that are not called positive before are called positive at random, until the sensitivity is
    that after. This raises the sensitivity of any model, and needs no ranking. The interval is by paired bootstrap.

    Args:
        positive: bool G, what is true.
        before, after: bool G, whether each case is right.
    """
    drawn: list[Floats] = []
    generator = np.random.default_rng(_SEED)
    for chosen in (positive, ~positive):
        cells = np.bincount(2 * before[chosen] + after[chosen], minlength=4)
        draws = generator.multinomial(cells.sum(), cells / cells.sum(), size=_DRAWS)
        shares = np.concatenate([cells[np.newaxis], draws]) / cells.sum()
        drawn += [shares[:, 2] + shares[:, 3], shares[:, 1] + shares[:, 3]]
    sensitivity, fitted_sensitivity, specificity, fitted_specificity = drawn
    missed = np.maximum(1.0 - sensitivity, _ONE_DRAW)
    margin = fitted_specificity - specificity * np.minimum(1.0, (1.0 - fitted_sensitivity) / missed)
    low, high = np.quantile(margin[1:], (0.025, 0.975))
    return Interval(float(margin[0]), float(low), float(high))


def bootstrap_mean(strata: list[Floats]) -> Interval:
    """Return the mean over strata of the means of their cases, with a 95 % percentile interval.

    Cases are drawn with replacement inside each stratum, 2,000 times, from a fixed seed.

    Args:
        strata: float64 arrays, one value a case; none is empty.
    """
    generator = np.random.default_rng(_SEED)
    drawn = np.zeros(_DRAWS)
    for values in strata:
        levels, counts = np.unique(values, return_counts=True)
        draws = generator.multinomial(len(values), counts / len(values), size=_DRAWS)
        drawn += draws @ levels / len(values) / len(strata)
    low, high = np.quantile(drawn, (0.025, 0.975))
    return Interval(float(np.mean([values.mean() for values in strata])), float(low), float(high))
