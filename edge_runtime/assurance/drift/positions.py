"""Positions of values in a reference distribution, means by case, and the correlation within cases.

A position is the share of the reference below a value, 0..1, and half of the share that is equal to it. The mean
position over a sample is the probability that one of its images lies above one of the reference. The tests on it are
rank tests of clustered data (Datta & Satten 2005, J Am Stat Assoc 100:908): they need no shape of the distribution, and
cases of any number of images.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from edge_runtime.bundle.reference_distribution import Moments

Floats = npt.NDArray[np.float64]
Codes = npt.NDArray[np.int64]


def quantiles(values: Floats, case: Codes, count: int) -> Floats:
    """Return ``count`` quantiles at equal steps from 0 to 1, float64; each case has the same weight.

    Args:
        values: float64 (N,), without NaN.
        case: int64 (N,): case of each value.
        count: number of quantiles, 2 or more.
    """
    order = np.argsort(values, kind="stable")
    weight = (1.0 / np.bincount(case)[case])[order]
    middle = (np.cumsum(weight) - weight / 2) / weight.sum()
    return np.asarray(np.interp(np.linspace(0, 1, count), middle, values[order]))


def positions(values: Floats, reference: Sequence[float]) -> Floats:
    """Return the position of each value, float64 0..1, between quantiles at equal steps, with linear interpolation."""
    grid = np.asarray(reference, dtype=np.float64)
    left, right = grid.searchsorted(values, "left"), grid.searchsorted(values, "right")
    below, above = np.clip(left - 1, 0, len(grid) - 1), np.clip(left, 0, len(grid) - 1)
    gap = grid[above] - grid[below]
    part = np.divide(values - grid[below], gap, out=np.zeros_like(values), where=gap > 0)
    between = np.clip(below + part, 0, len(grid) - 1)
    return np.asarray(np.where(right > left, (left + right - 1) / 2, between) / (len(grid) - 1))


def case_means(values: Floats, case: Codes, cases: int) -> Floats:
    """Return the mean of each case, float64 (cases,); NaN for a case without a value. NaN values do not count."""
    there = ~np.isnan(values)
    counts = np.bincount(case[there], minlength=cases)
    sums = np.bincount(case[there], weights=values[there], minlength=cases)
    return np.asarray(np.divide(sums, counts, out=np.full(cases, np.nan), where=counts > 0))


def moments(means: Floats) -> Moments:
    """Return mean and variance of the cases' means, float64 (K,) without NaN."""
    return Moments(float(means.mean()), float(means.var(ddof=1)) if len(means) > 1 else 0.0)


def correlation(values: Floats, case: Codes) -> float | None:
    """Return the intraclass correlation, 0..1; None if it cannot be estimated.

    One-way analysis of variance with cases of unequal size (Donner 1986, Int Stat Rev 54:67). It is not defined if
    each case has one image, or if all values are equal.
    """
    _, codes = np.unique(case, return_inverse=True)
    sizes = np.bincount(codes)
    count, cases = len(values), len(sizes)
    if cases < 2 or count == cases:
        return None
    means = np.bincount(codes, weights=values) / sizes
    between = float((sizes * (means - values.mean()) ** 2).sum()) / (cases - 1)
    within = float(((values - means[codes]) ** 2).sum()) / (count - cases)
    size = (count - float((sizes**2).sum()) / count) / (cases - 1)
    whole = between + (size - 1) * within
    return None if whole <= 0.0 else float(np.clip((between - within) / whole, 0.0, 1.0))


def design_effect(case: Codes, correlation: float) -> float:
    """Return 1 + (m − 1)·correlation, where m is the mean size of an image's case (Kish 1965)."""
    sizes = np.bincount(case)
    return 1.0 + (float((sizes**2).sum()) / max(len(case), 1) - 1.0) * correlation
