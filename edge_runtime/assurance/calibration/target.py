"""What the thresholds of a site are fitted for."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil

from edge_runtime.assurance.protocol import Counting
from edge_runtime.errors import UsageError

LEAST_CASES = 20
"""Smallest number of cases of each class."""


@dataclass(frozen=True)
class SiteTarget:
    """The target of a calibration, by case. Either ``sensitivity`` or ``youden`` is given.

    Attributes:
        sensitivity: sensitivity (between 0 and 1) that the cut-off must reach, at the best specificity.
        youden: choose the cut-off with the largest sensitivity + specificity instead.
        max_error: tolerated share of wrong decisions among the cases with a decision, between 0 and 1; None keeps the
            bundle's confidence floor, at the same images.
        referred: how referred cases are counted.
        failed: how cases are counted of which an image failed and none is POSITIVE.
    """

    sensitivity: float | None = None
    youden: bool = False
    max_error: float | None = None
    referred: Counting = Counting.WRONG
    failed: Counting = Counting.WRONG

    def __post_init__(self) -> None:
        """Raises: UsageError: there is no target or more than one, or a number is out of range."""
        if (self.sensitivity is not None) is self.youden:
            raise UsageError("Expected one target: a sensitivity, or the largest sensitivity + specificity (youden).")
        for name, value in (("sensitivity", self.sensitivity), ("max_error", self.max_error)):
            if value is not None and not 0.0 < value < 1.0:
                raise UsageError(f"found {name} {value:g}, expected a number between 0 and 1, such as 0.9.")

    @property
    def least_positive(self) -> int:
        """Smallest number of positive cases: with the sensitivity as target, two of them may be missed."""
        needed = 0 if self.sensitivity is None else ceil(2 / (1.0 - self.sensitivity) - 1e-9)
        return max(LEAST_CASES, needed)

    @property
    def least_negative(self) -> int:
        """Smallest number of negative cases."""
        return LEAST_CASES

    def text(self) -> str:
        """Return the target as a sentence."""
        if self.sensitivity is not None:
            target = f"The highest cut-off with a sensitivity of {self.sensitivity:g} or more on cases."
        else:
            target = "The cut-off with the largest sensitivity + specificity on cases (Youden 1950)."
        if self.max_error is None:
            return target
        return f"{target} The lowest confidence floor with an error among decided cases of at most {self.max_error:g}."
