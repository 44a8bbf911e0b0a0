"""Reduce pixels by a fixed area average in whole numbers, so that every processor gives the same bits.

A pixel of the result covers ``factor`` / 256 pixels of the source in each direction. The source is divided into units
of 1/256 pixel. Pixel *i* of the result covers the units from *i* · factor up to, without, (*i* + 1) · factor. Its value
is the sum of (units covered down) · (units covered across) · (source value), divided by factor², rounded to the nearest
whole number, halves up. All sums stay below 2^53, so float64 holds them exactly in any order of addition.
"""

from __future__ import annotations

from collections.abc import Callable
from math import isqrt

import numpy as np
import numpy.typing as npt

Pixels = npt.NDArray[np.uint8]
Read = Callable[[int, int, int, int], Pixels]
"""Reads x, y, width and height of the source: uint8 height×width×3."""

UNIT = 256
"""Parts of a source pixel."""
LARGEST_FACTOR = isqrt(2**53 // 255) // UNIT * UNIT
"""Largest factor, in 1/256, whose sums are exact in float64: about 23,000 pixels for one."""
BAND_PIXELS = 1 << 20
"""Source pixels that are read at once, so that memory does not grow with the factor."""


def covered(start: int, stop: int, factor: int) -> tuple[int, int]:
    """Return the first source pixel, and the one after the last, under the pixels ``start`` to ``stop`` - 1."""
    return start * factor // UNIT, -(-stop * factor // UNIT)


def weights(start: int, stop: int, factor: int) -> npt.NDArray[np.float64]:
    """Return the units that each pixel of the result covers of each source pixel, (stop - start)×sources."""
    first, last = covered(start, stop, factor)
    left = np.arange(start, stop, dtype=np.int64)[:, np.newaxis] * factor
    edge = np.arange(first, last, dtype=np.int64)[np.newaxis] * UNIT
    units = np.minimum(left + factor, edge + UNIT) - np.maximum(left, edge)
    return np.asarray(np.maximum(units, 0), dtype=np.float64)


def averaged(read: Read, x: int, y: int, width: int, height: int, factor: int) -> Pixels:
    """Return a rectangle of the reduced image, uint8 height×width×3.

    Args:
        read: reads the source.
        x: left edge, in pixels of the result.
        y: upper edge, in pixels of the result.
        width: width, in pixels of the result.
        height: height, in pixels of the result.
        factor: source pixels per pixel of the result, times 256; 256 copies the source.
    """
    if factor == UNIT:
        return read(x, y, width, height)
    left, right = covered(x, x + width, factor)
    across = weights(x, x + width, factor)
    rows = max(1, BAND_PIXELS * UNIT // ((right - left) * factor))
    bands = []
    for start in range(y, y + height, rows):
        stop = min(start + rows, y + height)
        top, bottom = covered(start, stop, factor)
        source = read(left, top, right - left, bottom - top)
        bands.append(_reduced(source, weights(start, stop, factor), across, factor))
    return np.concatenate(bands)


def _reduced(source: Pixels, down: npt.NDArray[np.float64], across: npt.NDArray[np.float64], factor: int) -> Pixels:
    """Return the weighted means of a source, uint8 H×W×3; ``down`` is result rows×H, ``across`` result columns×W."""
    high, wide, channels = source.shape
    rows = (down @ source.reshape(high, wide * channels).astype(np.float64)).reshape(len(down), wide, channels)
    sides_first = np.ascontiguousarray(rows.swapaxes(1, 2)).reshape(len(down) * channels, wide)  # one fast product
    sums = (sides_first @ across.T).reshape(len(down), channels, len(across)).swapaxes(1, 2).astype(np.int64)
    area = factor * factor
    return np.ascontiguousarray((2 * sums + area) // (2 * area), dtype=np.uint8)
