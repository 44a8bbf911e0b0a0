"""Compare a window of answers with a reference, one test a quantity; cases are the unit, not images.

* ``shift``: whether images lie higher or lower than the reference: Welch's t test on the cases' mean positions.
* ``spread``: whether they lie further out or further in: the same on the distance from the reference's middle.
* ``rate``: Fisher's exact test on counts divided by their design effect (Rao & Scott 1992, Biometrics 48:577).
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
import numpy.typing as npt

from edge_runtime.assurance.binomial import interval
from edge_runtime.assurance.drift.observations import Observations
from edge_runtime.assurance.drift.positions import case_means, correlation, design_effect, positions, quantiles
from edge_runtime.assurance.drift.student import fisher, t_quantile, two_sided
from edge_runtime.bundle.reference_distribution import (
    Moments,
    QuantityReference,
    RateReference,
    ReferenceDistribution,
)

Floats = npt.NDArray[np.float64]
FEWEST_CASES = 5
"""A quantity with fewer cases in the window is not tested."""

_CONFIDENCE = 0.95


class Kind(enum.Enum):
    """What a test looks at."""

    SHIFT = "shift"
    SPREAD = "spread"
    RATE = "rate"


@dataclass(frozen=True)
class Comparison:
    """One quantity of the window beside the reference.

    Attributes:
        quantity: name of the number or of the rate.
        kind: what is compared.
        cases, images: of the window, with a value.
        window: median of the images (each case with the same weight), or the share of images.
        reference: the same of the reference.
        effect: for ``shift`` and ``spread``: probability (0..1) that an image of the window lies above (further out
            than) one of the reference; 0.5 is no difference. For ``rate``: share in the window minus reference.
        bounds: returns the 95 % interval of the effect, for this quantity alone.
        p: p value of this test alone.
        series: number of each case from which a change point is estimated, in the order of time.
        expected: its expectation under the reference.
        deviation: its standard deviation between the reference's patients.
    """

    quantity: str
    kind: Kind
    cases: int
    images: int
    window: float
    reference: float
    effect: float
    bounds: Callable[[], tuple[float, float]]
    p: float
    series: Floats
    expected: float
    deviation: float


def compare(window: Observations, reference: ReferenceDistribution) -> list[Comparison]:
    """Return the comparison of every number and rate that both sides have.

    A number that has one value alone, the same on both sides, is left out: it cannot show a drift.
    """
    found: list[Comparison] = []
    for quantity in reference.quantities:
        values = window.values.get(quantity.name)
        if values is not None:
            found += _numbers(values, window, quantity)
    for rate in reference.rates:
        happened = window.events[rate.name]
        if len(np.unique(window.case[~np.isnan(happened)])) >= FEWEST_CASES and not _fixed(happened, rate):
            found.append(_rate(happened, window, rate))
    return found


def _numbers(values: Floats, window: Observations, reference: QuantityReference) -> list[Comparison]:
    there = ~np.isnan(values)
    placed = np.full(len(values), np.nan)
    placed[there] = positions(values[there], reference.quantiles)
    if reference.quantiles[0] == reference.quantiles[-1] and (placed[there] == 0.5).all():
        return []
    codes = window.case[there]
    if len(np.unique(codes)) < FEWEST_CASES:
        return []
    middle = float(quantiles(values[there], np.unique(codes, return_inverse=True)[1], 3)[1])
    return [
        _moved(kind, means, moments, reference, middle, int(there.sum()))
        for kind, means, moments in (
            (Kind.SHIFT, case_means(placed, window.case, window.cases), reference.position),
            (Kind.SPREAD, case_means(np.abs(2 * placed - 1), window.case, window.cases), reference.distance),
        )
    ]


def _moved(
    kind: Kind, series: Floats, expected: Moments, reference: QuantityReference, middle: float, images: int
) -> Comparison:
    own = series[~np.isnan(series)]
    cases = len(own)
    difference = float(own.mean()) - expected.mean
    error, freedom = _error(float(own.var(ddof=1)), cases, expected.variance, reference.patients)
    effect = 0.5 + difference
    return Comparison(
        quantity=reference.name,
        kind=kind,
        cases=cases,
        images=images,
        window=middle,
        reference=reference.quantiles[len(reference.quantiles) // 2],
        effect=min(1.0, max(0.0, effect)),
        bounds=partial(_around, effect, error, freedom),
        p=two_sided(difference / error, freedom),
        series=series,
        expected=expected.mean,
        deviation=max(expected.variance, _least(reference.patients)) ** 0.5,
    )


def _around(effect: float, error: float, freedom: float) -> tuple[float, float]:
    reach = t_quantile((1 + _CONFIDENCE) / 2, freedom) * error
    return max(0.0, effect - reach), min(1.0, effect + reach)


def _of_share(count: int, images: int, expected: float) -> tuple[float, float]:
    low, high = interval(count, images, _CONFIDENCE)
    return low - expected, high - expected


def _error(variance: float, cases: int, reference_variance: float, patients: int) -> tuple[float, float]:
    """Return the standard error of a difference of means, and its degrees of freedom (Welch 1947, Satterthwaite).

    The window's variance is not taken below the reference's: a few cases that lie close together by chance would
    otherwise look like a drift. It is larger if the window has fewer images a case than the reference.
    """
    theirs = max(reference_variance, _least(patients))
    own = max(variance, _least(cases))
    freedom = cases - 1
    if own <= theirs:
        own, freedom = theirs, patients - 1
    one, two = own / cases, theirs / patients
    return (one + two) ** 0.5, (one + two) ** 2 / (one**2 / freedom + two**2 / (patients - 1))


def _least(cases: int) -> float:
    """Return the smallest variance of a number in 0..1 that so many cases can show: they may all be equal by chance."""
    return 1.0 / (12.0 * cases)


def _fixed(happened: Floats, reference: RateReference) -> bool:
    """Return whether it always or never happened on both sides."""
    seen = happened[~np.isnan(happened)]
    return bool((reference.count == 0 and not seen.any()) or (reference.count == reference.images and bool(seen.all())))


def _rate(happened: Floats, window: Observations, reference: RateReference) -> Comparison:
    there = ~np.isnan(happened)
    seen, case = happened[there], np.unique(window.case[there], return_inverse=True)[1]
    related = _related(correlation(seen, case), reference.correlation)
    effect = design_effect(case, related)
    theirs = max(reference.design_effect, effective_design(reference, related))
    count, images = deflated(int(seen.sum()), len(seen), effect)
    other, other_images = deflated(reference.count, reference.images, theirs)
    share, expected = float(seen.mean()), reference.count / reference.images
    return Comparison(
        quantity=reference.name,
        kind=Kind.RATE,
        cases=int(case.max()) + 1,
        images=len(seen),
        window=share,
        reference=expected,
        effect=share - expected,
        bounds=partial(_of_share, count, images, expected),
        p=fisher(count, images, other, other_images),
        series=case_means(happened, window.case, window.cases),
        expected=expected,
        deviation=max((expected * (1 - expected)), _least(reference.patients)) ** 0.5,
    )


def _related(own: float | None, theirs: float | None) -> float:
    """Return the correlation within cases: the larger estimate; 1 if there is none, so that cases are counted."""
    known = [value for value in (own, theirs) if value is not None]
    return max(known) if known else 1.0


def effective_design(reference: RateReference, related: float) -> float:
    """Return the design effect of the reference for a correlation, from its mean number of images a patient."""
    return 1.0 + (reference.images / reference.patients - 1.0) * related


def deflated(count: int, images: int, effect: float) -> tuple[int, int]:
    """Return events and images divided by the design effect, as whole numbers, with at least one image."""
    fewer = max(1, int(images / effect + 1e-9))
    return min(fewer, round(count * fewer / images)), fewer
