"""Since when a quantity has drifted: the case after which its mean differs most from the reference.

The estimate maximises the likelihood of one step from the reference's mean to another one, as a cumulative sum does
(Page 1954, Biometrika 41:100; Hinkley 1970, Biometrika 57:1). Its interval is a bootstrap within the two segments.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
REPEATS = 500
POINTS = 200
_SEED = 0
_FEWEST = 3
"""A segment after the change has at least this many cases: fewer may be chance."""


@dataclass(frozen=True)
class ChangePoint:
    """The first case after a change, and its 95 % interval.

    Attributes:
        case: index of the case in the window, from 0, or 0 if the whole window differs.
        first_case, last_case: interval of the index.
        time: time of the case's first image, RFC 3339.
        earliest, latest: times of the interval.
        before: whether the change may lie before the window: the interval reaches its first case.
        path: sum of the differences from the reference up to each case, at most :data:`POINTS` at equal steps.
    """

    case: int
    first_case: int
    last_case: int
    time: str
    earliest: str
    latest: str
    before: bool
    path: tuple[float, ...]


def first_changed(series: Floats, expected: float) -> int:
    """Return the index (0..K − 1) of the first value after the change.

    Args:
        series: float64 (K,), one value a case in the order of time.
        expected: mean before the change.
    """
    count = len(series)
    sums = np.cumsum((series - expected)[::-1])[::-1]
    gains = sums**2 / np.arange(count, 0, -1)
    return int(np.argmax(gains[: max(1, count - _FEWEST + 1)]))


def change_point(series: Floats, expected: float, starts: tuple[str, ...]) -> ChangePoint:
    """Estimate the change point of a series that differs from what is expected.

    Args:
        series: float64 (K,), one value a case in the order of time; NaN for a case without a value.
        expected: mean under the reference.
        starts: time of the first image of each case.
    """
    there = np.flatnonzero(~np.isnan(series))
    values = series[there]
    found = first_changed(values, expected)
    random = np.random.default_rng(_SEED)
    before, after = values[:found], values[found:]
    again = [
        first_changed(np.concatenate([_drawn(before, random), _drawn(after, random)]), expected) for _ in range(REPEATS)
    ]
    low, high = (int(value) for value in np.quantile(again, (0.025, 0.975), method="nearest"))
    first, last = min(low, found), max(high, found)
    case, earliest, latest = (int(there[index]) for index in (found, first, last))
    return ChangePoint(
        case, earliest, latest, starts[case], starts[earliest], starts[latest], first == 0, _path(values - expected)
    )


def _drawn(values: Floats, random: np.random.Generator) -> Floats:
    return values if not len(values) else random.choice(values, len(values))


def _path(differences: Floats) -> tuple[float, ...]:
    sums = np.concatenate([[0.0], np.cumsum(differences)])
    chosen = np.unique(np.linspace(0, len(differences), min(POINTS, len(sums))).round().astype(int))
    return tuple(round(float(value), 4) for value in sums[chosen])
