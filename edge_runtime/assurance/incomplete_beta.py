"""The regularised incomplete beta function, from which binomial bounds and Student's t follow.

Tests compare it with SciPy.
"""

from __future__ import annotations

from math import exp, lgamma, log, log1p

_SMALLEST = 1e-300
_STEPS = 500


def incomplete_beta(a: float, b: float, x: float) -> float:
    """Return the regularised incomplete beta function I_x(a, b), 0..1.

    By Lentz's continued fraction (Press et al., Numerical Recipes, 6.4), accurate to about 1e-13.
    """
    if x <= 0.0:
        return 0.0
    if x >= 1.0:
        return 1.0
    if x > (a + 1.0) / (a + b + 2.0):  # the fraction converges fast on the other side
        return 1.0 - incomplete_beta(b, a, 1.0 - x)
    front = exp(lgamma(a + b) - lgamma(a) - lgamma(b) + a * log(x) + b * log1p(-x)) / a
    c, d = 1.0, 1.0 / _away(1.0 - (a + b) * x / (a + 1.0))
    whole = d
    for m in range(1, _STEPS):
        for term in (
            m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m)),
            -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1)),
        ):
            d = 1.0 / _away(1.0 + term * d)
            c = _away(1.0 + term / c)
            whole *= c * d
        if abs(c * d - 1.0) < 1e-15:
            break
    return front * whole


def _away(value: float) -> float:
    """Return a value that can be divided by."""
    return value if abs(value) > _SMALLEST else _SMALLEST
