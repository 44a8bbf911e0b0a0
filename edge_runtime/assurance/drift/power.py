"""How many cases show which shift, and which shift a window could have shown: without it, silence says nothing."""

from __future__ import annotations

from dataclasses import dataclass

from edge_runtime.assurance.drift.student import t_quantile

POWER = 0.8
ONE_DEVIATION = 0.76
"""Probability that an image lies above one of the reference if a normal quantity moves by one standard deviation."""

SHIFTS = (0.6, 0.65, 0.7, ONE_DEVIATION, 0.85)
_MOST = 100_000


@dataclass(frozen=True)
class Need:
    """The number of cases that shows a shift.

    Attributes:
        effect: probability (0.5..1) that an image lies above one of the reference.
        cases: smallest number of cases that shows it with a power of 0.8; None if no number does, because the
            reference has too few patients.
    """

    effect: float
    cases: int | None


@dataclass(frozen=True)
class Design:
    """What the power of a test depends on.

    Attributes:
        variance: variance of a case's mean position.
        patients: number of the reference's patients.
        tests: number of tests of the report, over which the false alarms are shared.
        false_alarms: probability of a false alarm of the whole report.
    """

    variance: float
    patients: int
    tests: int
    false_alarms: float

    def smallest_shift(self, cases: int) -> float:
        """Return the smallest effect (0.5..1) that this number of cases (2 or more) shows with a power of 0.8."""
        one, two = self.variance / cases, self.variance / self.patients
        freedom = (one + two) ** 2 / (one**2 / (cases - 1) + two**2 / (self.patients - 1))
        level = 1 - self.false_alarms / self.tests / 2
        reach = t_quantile(level, freedom) + t_quantile(POWER, freedom)
        return min(1.0, 0.5 + float(reach * (one + two) ** 0.5))

    def needed(self, effect: float) -> Need:
        """Return the number of cases that shows an effect."""
        low, high = 2, _MOST
        if self.smallest_shift(high) > effect:
            return Need(effect, None)
        while high - low > 1:
            middle = (low + high) // 2
            if self.smallest_shift(middle) <= effect:
                high = middle
            else:
                low = middle
        return Need(effect, high)
