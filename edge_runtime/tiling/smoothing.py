"""Weighted mean of a tile's logits and those of the eight adjacent tiles. Tissue is continuous, so they are related.

The neighbours are always summed in the same order. A tile's mean depends on no other tile of the slide.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

_BAND_ROWS = 64
_AROUND = tuple((row, column) for row in range(3) for column in range(3) if (row, column) != (1, 1))
"""Offsets of the eight neighbours of a cell in a grid that is padded by one cell on each side."""


def averaged(logits: npt.ArrayLike, present: Bools, weight: float) -> Floats:
    """Return ``(l + weight · sum of the neighbours' l) / (1 + weight · their number)`` for each present cell.

    Args:
        logits: rows×columns×outputs, any float type. Values in cells that are not present are ignored.
        present: bool rows×columns, True for the cells that are averaged.
        weight: weight of each neighbour, 0..1.

    Returns:
        float64 rows×columns×outputs. Cells that are not present keep their values.
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


def averaged_at(cells: npt.NDArray[np.intp], logits: Floats, present: Bools, weight: float) -> Floats:
    """Return the means of some cells only: :func:`averaged` of bands of rows, so that a large grid needs little memory.

    Args:
        cells: N numbers of cells, row by row from 0, ascending.
        logits: as in :func:`averaged`.
        present: as in :func:`averaged`.
        weight: as in :func:`averaged`.

    Returns:
        float64 N×outputs.
    """
    rows, columns, outputs = logits.shape
    found = np.empty((len(cells), outputs))
    for start in range(0, rows, _BAND_ROWS):
        stop = min(start + _BAND_ROWS, rows)
        first, last = np.searchsorted(cells, (start * columns, stop * columns))
        if first == last:
            continue
        above, below = max(start - 1, 0), min(stop + 1, rows)  # with the rows that touch the band
        band = averaged(logits[above:below], present[above:below], weight).reshape(-1, outputs)
        found[first:last] = band[cells[first:last] - above * columns]
    return found


def widened(cells: Bools) -> Bools:
    """Return a mask of the given cells and all cells adjacent to them, bool rows×columns."""
    rows, columns = cells.shape
    there = np.pad(cells, 1)
    found = cells.copy()
    for down, right in _AROUND:
        found |= there[down : down + rows, right : right + columns]
    return found
