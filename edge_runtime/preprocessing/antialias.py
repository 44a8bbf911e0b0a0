"""Linear and bicubic resize of uint8 with antialiasing, in whole numbers: the bits of Pillow's BILINEAR and BICUBIC.

When an image shrinks, the filter widens with the scale, so that all source pixels count. Weights are rounded to
2^-22, and all sums are of whole numbers, so the bits are equal on all processors.

Source: Pillow 13.0, ``src/libImaging/Resample.c`` (``precompute_coeffs``, ``normalize_coeffs_8bpc``).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edge_runtime.preprocessing.geometry import Interpolation

Levels = npt.NDArray[np.uint8]
Doubles = npt.NDArray[np.float64]

_BITS = 22
_ROWS = 64
"""Rows of the result that are computed at once. It limits the memory for large images."""


def _linear(x: Doubles) -> Doubles:
    return np.where(x < 1.0, 1.0 - x, 0.0)


def _bicubic(x: Doubles) -> Doubles:
    """Return the cubic convolution kernel with a = -0.5 (Keys 1981) for distances ``x`` of 0 or more."""
    near = (1.5 * x - 2.5) * x * x + 1.0
    far = (((x - 5.0) * x + 8.0) * x - 4.0) * -0.5
    return np.where(x < 1.0, near, np.where(x < 2.0, far, 0.0))


_FILTERS: dict[Interpolation, tuple[Callable[[Doubles], Doubles], float]] = {
    Interpolation.LINEAR_ANTIALIAS: (_linear, 1.0),
    Interpolation.BICUBIC_ANTIALIAS: (_bicubic, 2.0),
}


@dataclass(frozen=True)
class _Taps:
    """The source pixels that count for each of N new pixels.

    Attributes:
        first: index of the first one, N.
        shares: weights of it and those after it in units of 2^-22, int32 K×N; 0 beyond the last one.
    """

    first: npt.NDArray[np.intp]
    shares: npt.NDArray[np.int32]

    @property
    def most(self) -> int:
        """Largest number of source pixels that count for a new pixel."""
        return len(self.shares)

    def some(self, chosen: slice) -> _Taps:
        """Return the taps of some new pixels."""
        return _Taps(self.first[chosen], self.shares[:, chosen])


def resize_antialiased(pixels: Levels, width_px: int, height_px: int, interpolation: Interpolation) -> Levels:
    """Return ``pixels`` resized to ``width_px`` × ``height_px``.

    Args:
        pixels: uint8 H×W or H×W×C.
        width_px: new width in pixels.
        height_px: new height in pixels.
        interpolation: ``LINEAR_ANTIALIAS`` or ``BICUBIC_ANTIALIAS``.

    Returns:
        uint8 of the new size: columns interpolated first and rounded, then rows.
    """
    height, width = pixels.shape[:2]
    rows, columns = _taps(height, height_px, interpolation), _taps(width, width_px, interpolation)
    resized = np.empty((height_px, width_px, *pixels.shape[2:]), np.uint8)
    for start in range(0, height_px, _ROWS):
        block = rows.some(slice(start, start + _ROWS))
        top, bottom = int(block.first[0]), min(int(block.first[-1]) + block.most, height)
        narrow = np.ascontiguousarray(np.moveaxis(pixels[top:bottom], 1, 0))
        narrow = np.ascontiguousarray(np.moveaxis(_weighted(narrow, columns), 0, 1))
        resized[start : start + _ROWS] = _weighted(narrow, _Taps(block.first - top, block.shares))
    return resized


def _weighted(lines: Levels, taps: _Taps) -> Levels:
    """Return weighted sums of ``lines`` along the first axis, rounded and saturated."""
    total = np.full((len(taps.first), *lines.shape[1:]), 1 << (_BITS - 1), np.int32)
    each = np.empty_like(total)
    last = len(lines) - 1
    for number, shares in enumerate(taps.shares):
        chosen = lines.take(np.minimum(taps.first + number, last), axis=0)
        np.multiply(chosen, shares.reshape(-1, *(1,) * (lines.ndim - 1)), out=each, dtype=np.int32, casting="unsafe")
        total += each
    total >>= _BITS
    return np.clip(total, 0, 255, out=total).astype(np.uint8)


def _taps(size: int, result: int, interpolation: Interpolation) -> _Taps:
    """Return the taps of one axis, with positions and weights in float64 before the weights are rounded."""
    curve, support = _FILTERS[interpolation]
    scale = size / result
    wide = max(scale, 1.0)
    reach, shrunk = support * wide, 1.0 / wide
    centre = (np.arange(result, dtype=np.float64) + 0.5) * scale
    first = np.maximum((centre - reach + 0.5).astype(np.intp), 0)
    count = np.minimum((centre + reach + 0.5).astype(np.intp), size) - first
    shares = np.zeros((int(count.max()), result))
    total = np.zeros(result)
    for number in range(len(shares)):  # added one after the other, which fixes the rounding
        place = (number + first - centre + 0.5) * shrunk
        shares[number] = np.where(number < count, curve(np.abs(place)), 0.0)
        total += shares[number]
    shares = shares / total * (1 << _BITS)
    return _Taps(first, np.trunc(shares + np.where(shares < 0, -0.5, 0.5)).astype(np.int32))
