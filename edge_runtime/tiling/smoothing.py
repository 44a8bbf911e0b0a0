"""A tile among the eight that touch it: tissue is continuous, so what they show speaks about it too.

Every tile's mean is summed in one order of its own neighbours, and depends on no other tile of the slide.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

_AROUND = tuple((row, column) for row in range(3) for column in range(3) if (row, column) != (1, 1))
"""Where the eight neighbours of a cell lie in a grid with one more row and column on each side."""


def averaged(logits: npt.ArrayLike, present: Bools, weight: float) -> Floats:
    """Return ``(l + weight · sum of the neighbours' l) / (1 + weight · their number)`` for each present cell.

    Args:
        logits: rows×columns×outputs, any float type; whatever stands in cells that are not present is not read.
        present: bool rows×columns: cells that give and take part.
        weight: of each neighbour, 0..1.

    Returns:
        float64 rows×columns×outputs; cells that are not present are as they were.
    """
    own = np.asarray(logits, dtype=np.float64)
    rows, columns = present.shape
    given = np.pad(np.where(present[..., np.newaxis], own, 0.0), ((1, 1), (1, 1), (0, 0)))
    there = np.pad(present, 1)
    total, count = np.zeros_like(own), np.zeros((rows, columns), np.int64)
    for down, right in _AROUND:
        total += given[down : down + rows, right : right + columns]
        count += there[down : down + rows, right : right + columns]
    mean = (own + weight * total) / (1.0 + weight * count[..., np.newaxis])
    return np.asarray(np.where(present[..., np.newaxis], mean, own))


def widened(cells: Bools) -> Bools:
    """Return these cells of a grid and every cell that touches one of them, bool rows×columns."""
    rows, columns = cells.shape
    there = np.pad(cells, 1)
    found = cells.copy()
    for down, right in _AROUND:
        found |= there[down : down + rows, right : right + columns]
    return found
