"""Exponentially weighted moving averages: their run length without a change, and the limit that gives a wanted one.

The average run length (ARL) is the mean number of points until a false alarm. It is computed by the Markov chain of
Brook & Evans (1972, Biometrika 59:539) in the form of Lucas & Saccucci (1990, Technometrics 32:1).
"""

from __future__ import annotations

from functools import cache
from math import sqrt
from statistics import NormalDist

import numpy as np

WEIGHT = 0.2
"""Weight of the newest point: 0.2 suits shifts of about one standard deviation."""

_STATES = 81
_HALVINGS = 40
_WIDEST = 8.0


@cache
def run_length(limit: float, weight: float = WEIGHT) -> float:
    """Return the in-control ARL of a two-sided EWMA of standard normal points.

    Args:
        limit: half the width between the limits, in standard deviations of the EWMA in the long run.
        weight: of the newest point, above 0 and at most 1.
    """
    edge = limit * sqrt(weight / (2.0 - weight))
    step = edge / _STATES  # half the width of a state
    centres = np.linspace(-edge + step, edge - step, _STATES)
    normal = NormalDist()
    ends = (centres[None, :] - (1.0 - weight) * centres[:, None]) / weight
    reach = step / weight
    cumulative = np.vectorize(normal.cdf)
    moves = cumulative(ends + reach) - cumulative(ends - reach)
    lengths = np.linalg.solve(np.eye(_STATES) - moves, np.ones(_STATES))
    return float(lengths[_STATES // 2])


@cache
def limit_for(wanted: float, weight: float = WEIGHT) -> float:
    """Return the limit whose in-control ARL is ``wanted``, 2 or more."""
    low, high = 0.1, _WIDEST
    for _ in range(_HALVINGS):
        middle = (low + high) / 2.0
        if run_length(middle, weight) < wanted:
            low = middle
        else:
            high = middle
    return high
