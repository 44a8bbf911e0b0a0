"""A pyramid in memory."""

from __future__ import annotations

from fractions import Fraction

import numpy as np

from edge_runtime.slides.pyramid import Level, Pixels, damaged


class Drawn:
    """A pyramid of given arrays; squares named in ``broken`` cannot be read."""

    exact = True
    name = "drawn"

    def __init__(self, *levels: Pixels, microns: tuple[float, float] | None = (1.0, 1.0)) -> None:
        self._arrays, self.microns = levels, microns
        self.broken: set[tuple[int, int, int]] = set()
        wide = levels[0].shape[1]
        self.levels = tuple(Level(a.shape[1], a.shape[0], Fraction(wide, a.shape[1])) for a in levels)

    def read(self, level: int, x: int, y: int, width: int, height: int) -> Pixels:
        """Return a part of an array."""
        for number, left, top in self.broken:
            if number == level and x <= left < x + width and y <= top < y + height:
                raise damaged(self.name, level, x, y, "broken")
        found = self._arrays[level][y : y + height, x : x + width]
        assert found.shape[:2] == (height, width)
        return found

    def close(self) -> None:
        """Nothing is open."""


def white(height: int, width: int) -> Pixels:
    """Return empty glass."""
    return np.full((height, width, 3), 240, np.uint8)
