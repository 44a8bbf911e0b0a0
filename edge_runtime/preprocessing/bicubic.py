"""Bicubic resize in float32, at the same sampling positions and with the same weights as TensorFlow.

OpenCV's INTER_CUBIC weights by another curve (a = -0.75), and its bits differ by processor. This module repeats the
arithmetic of ``tf.image.resize(method="bicubic")`` operation by operation, so the bits are equal on all processors.

Source: TensorFlow 2.21, ``core/kernels/image/resize_bicubic_op.cc`` (``InitCoeffsTable`` with a = -0.5 after Keys 1981,
``GetWeightsAndIndices``, ``Interpolate1D``).
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
Places = npt.NDArray[np.intp]
Pixels = npt.NDArray[np.integer[Any] | np.floating[Any]]

_PARTS = 1024
"""The weights are tabulated at this many places between two pixels."""

_CURVE = -0.5
_HALF = np.float32(0.5)

_ROWS = 64
"""Rows of the result that are computed at once. It limits the memory for wide images."""


@dataclass(frozen=True)
class _Taps:
    """The four source pixels around each of N new pixels.

    Attributes:
        places: their indices, 4×N.
        shares: their weights, float32 4×N; each column adds up to 1.
    """

    places: Places
    shares: Floats


def resize_bicubic(pixels: Pixels, width_px: int, height_px: int) -> Floats:
    """Return ``pixels`` resized to ``width_px`` × ``height_px``, without antialiasing.

    Args:
        pixels: H×W or H×W×C, any real dtype.
        width_px: new width in pixels.
        height_px: new height in pixels.

    Returns:
        float32 of the new size, neither rounded nor clipped: values may lie beyond the range of ``pixels``. The bits
        equal those of ``tf.image.resize`` with method ``bicubic``.
    """
    rows, columns = _taps(pixels.shape[0], height_px), _taps(pixels.shape[1], width_px)
    resized = np.empty((height_px, width_px, *pixels.shape[2:]), np.float32)
    for start in range(0, height_px, _ROWS):
        block = slice(start, start + _ROWS)
        resized[block] = _block(pixels, _Taps(rows.places[:, block], rows.shares[:, block]), columns)
    return resized


def _block(pixels: Pixels, rows: _Taps, columns: _Taps) -> Floats:
    """Return some rows of the result: interpolated down at each column's four source columns, then across."""
    trailing = (1,) * (pixels.ndim - 2)
    down, across = rows.shares.reshape(4, -1, 1, *trailing), columns.shares.reshape(4, -1, *trailing)
    lines = [pixels.take(places, axis=0) for places in rows.places]

    def column(places: Places) -> Floats:
        return _sum([line.take(places, axis=1).astype(np.float32) for line in lines], down)

    return _sum([column(places) for places in columns.places], across)


def _sum(values: list[Floats], shares: Floats) -> Floats:
    """Return the weighted sum of four arrays, added from the first to the last; the arrays are overwritten."""
    for value, share in zip(values, shares, strict=True):
        np.multiply(value, share, out=value)
    total = values[0]
    for value in values[1:]:
        total += value
    return total


@functools.cache
def _curve() -> Floats:
    """Return the weights of the nearer and the farther pixel by distance, float32 1025×2."""
    x = np.arange(_PARTS + 1, dtype=np.float64) / _PARTS
    a, beyond = _CURVE, x + 1.0
    nearer = ((a + 2.0) * x - (a + 3.0)) * x * x + 1.0
    farther = ((a * beyond - 5.0 * a) * beyond + 8.0 * a) * beyond - 4.0 * a
    return np.stack([nearer, farther], axis=1).astype(np.float32)


def _taps(size: int, result: int) -> _Taps:
    """Return the taps of one axis. Pixels beyond the border get no weight, and the others add up to 1 again."""
    scale = np.float32(size) / np.float32(result)
    place = (np.arange(result, dtype=np.float32) + _HALF) * scale - _HALF
    below = np.floor(place)
    offset = np.rint((place - below) * np.float32(_PARTS)).astype(np.intp)
    nearer, farther = _curve().T
    wanted = below.astype(np.intp) + np.arange(-1, 3)[:, np.newaxis]
    places = np.clip(wanted, 0, size - 1)
    shares = np.stack([farther[offset], nearer[offset], nearer[_PARTS - offset], farther[_PARTS - offset]])
    shares = np.where(places == wanted, shares, np.float32(0))
    total = shares[0] + shares[1] + shares[2] + shares[3]
    return _Taps(places, shares * (np.float32(1) / total))
