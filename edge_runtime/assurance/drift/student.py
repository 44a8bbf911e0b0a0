"""Student's t distribution, Fisher's exact test and Holm's correction, with the standard library alone.

Tests compare them with SciPy and statsmodels.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from math import exp, lgamma, log, log1p, pi
from statistics import NormalDist

from edge_runtime.assurance.incomplete_beta import incomplete_beta

_NEWTON_STEPS = 200


def two_sided(t: float, freedom: float) -> float:
    """Return the probability (0..1) of a t value at least as far from 0, with ``freedom`` degrees of freedom."""
    return incomplete_beta(freedom / 2.0, 0.5, freedom / (freedom + t * t))


@cache
def t_quantile(share: float, freedom: float) -> float:
    """Return the t value (0 or more) below which ``share`` (0.5 to 1) of the distribution lies.

    By Newton's method from the normal quantile, which is never larger, so that each step comes from below.
    """
    value = NormalDist().inv_cdf(share)
    front = lgamma((freedom + 1.0) / 2.0) - lgamma(freedom / 2.0) - 0.5 * log(freedom * pi)
    for _ in range(_NEWTON_STEPS):
        density = exp(front - (freedom + 1.0) / 2.0 * log1p(value * value / freedom))
        step = (two_sided(value, freedom) / 2.0 - (1.0 - share)) / density
        value += step
        if abs(step) < 1e-10 * max(1.0, value):
            break
    return value


def fisher(count: int, images: int, other_count: int, other_images: int) -> float:
    """Return the two-sided p value (0..1) of Fisher's exact test that two shares are equal.

    Args:
        count: events among ``images``.
        images: size of the first sample.
        other_count: events among ``other_images``.
        other_images: size of the second sample.
    """
    events, whole = count + other_count, images + other_images

    def logarithm(k: int) -> float:
        return _choose(images, k) + _choose(other_images, events - k) - _choose(whole, events)

    first, last = max(0, events - other_images), min(images, events)
    seen = logarithm(count)
    terms = (logarithm(k) for k in range(first, last + 1))
    return min(1.0, sum(exp(term) for term in terms if term <= seen + 1e-7))  # ties differ by rounding


def _choose(n: int, k: int) -> float:
    """Return the logarithm of the binomial coefficient."""
    return lgamma(n + 1) - lgamma(k + 1) - lgamma(n - k + 1)


def holm(values: Sequence[float]) -> list[float]:
    """Return p values adjusted by Holm (1979, Scand J Statist 6:65), in the order given.

    Rejecting those at or below a level rejects any true hypothesis with at most that probability, whatever the
    dependence between the tests.
    """
    adjusted, largest = [0.0] * len(values), 0.0
    for rank, place in enumerate(sorted(range(len(values)), key=values.__getitem__)):
        largest = max(largest, min(1.0, (len(values) - rank) * values[place]))
        adjusted[place] = largest
    return adjusted
