"""Statistics of a picture as read: what tells a patch of tissue from an ultrasound, a film, a screenshot or noise.

Most are taken on the *overview*: the picture itself if it is small, or means of blocks, 64 a side. What that loses,
fine texture, is taken on the *centre*: the middle 64×64 px at the picture's own resolution. Both hold whole numbers,
every sum over them is a whole number below 2^53, and only sums are rooted and divided: a float64 result is the same
on every processor, whatever the order of adding.
"""

from __future__ import annotations

from itertools import pairwise
from math import sqrt
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from edge_runtime.formats.decoding import Pixels
from edge_runtime.imaging import Picture
from edge_runtime.steps import ColourOrder

Floats = npt.NDArray[np.float64]
Levels = npt.NDArray[np.uint8]

SIDE_PX = 64
"""Longest side of overview and centre."""

WHITE, TINT = 205, 6
"""A pixel is colourless where |R − G| + |B − G| is at most ``TINT`` and its grey level at most ``WHITE``: white glass
and paper say nothing about colour."""

BLACK = 8
"""The highest grey level that counts as black."""

_SHARES = (0.02, 0.25, 0.5, 0.75, 0.98)
_GREY = {ColourOrder.RGB: cv2.COLOR_RGB2GRAY, ColourOrder.BGR: cv2.COLOR_BGR2GRAY}


def statistics(picture: Picture) -> Floats:
    """Return the numbers named by :data:`edge_runtime.familiarity.NAMES`, float64, each about -1..1.

    A picture mirrored left to right has the same statistics, as far as its blocks mirror. A picture of 16 bits counts
    by its upper ones. Grey and colour of three equal channels are the same.

    Args:
        picture: as :func:`edge_runtime.imaging.read` gives it, before any step of a spec.
    """
    small = max(picture.pixels.shape[:2]) <= SIDE_PX
    overview = _overview(picture.pixels)
    grey = _grey(overview, picture.order)
    wide = grey.astype(np.float64)
    centre = wide if small else _grey(_centre(picture.pixels), picture.order).astype(np.float64)
    mean, variance = _moments(wide)
    return np.array(
        [
            *_colour(overview, grey, picture.order, mean),
            *_levels(grey),
            *_texture(wide, mean, variance),
            *_fine(centre),
        ]
    )


def _overview(pixels: Pixels) -> Levels:
    """Return block means, rounded, uint8; block i of n begins at row (or column) floor(i·side/n)."""
    height, width = pixels.shape[:2]
    deep = pixels.dtype != np.uint8
    if max(height, width) <= SIDE_PX:
        return _upper(pixels)
    down, across = min(height, SIDE_PX), min(width, SIDE_PX)
    rows = [i * height // down for i in range(down + 1)]
    columns = [i * width // across for i in range(across + 1)]
    depth = cv2.CV_64F if deep else cv2.CV_32S  # sums of at most 2^31 levels, exact
    strips = [cv2.reduce(pixels[a:b], 0, cv2.REDUCE_SUM, dtype=depth) for a, b in pairwise(rows)]
    sums = np.add.reduceat(np.concatenate(strips).astype(np.int64), columns[:-1], axis=1)
    counts = np.outer(np.diff(rows), np.diff(columns)) * (256 if deep else 1)
    counts = counts.reshape(counts.shape + (1,) * (sums.ndim - 2))
    return np.asarray(np.minimum((2 * sums + counts) // (2 * counts), 255), dtype=np.uint8)


def _centre(pixels: Pixels) -> Levels:
    height, width = pixels.shape[:2]
    y, x = max(0, (height - SIDE_PX) // 2), max(0, (width - SIDE_PX) // 2)
    return np.ascontiguousarray(_upper(pixels[y : y + SIDE_PX, x : x + SIDE_PX]))


def _upper(pixels: npt.NDArray[Any]) -> Levels:
    return np.asarray(pixels if pixels.dtype == np.uint8 else pixels >> 8, dtype=np.uint8)


def _grey(pixels: Levels, order: ColourOrder) -> Levels:
    """Return .299 R + .587 G + .114 B, rounded (ITU-R BT.601, as a spec's colour step)."""
    return pixels if order is ColourOrder.GREY else np.asarray(cv2.cvtColor(pixels, _GREY[order]), dtype=np.uint8)


def _colour(pixels: Levels, grey: Levels, order: ColourOrder, mean: float) -> list[float]:
    """Return differences of channels: their means and spreads, and R − G beside how far the picture is from white.

    A stain takes light away in proportion to its amount, so that this ratio hardly depends on the amount.
    """
    if order is ColourOrder.GREY:
        return [0.0, 0.0, 0.0, 0.0, 0.0, np.count_nonzero(grey <= WHITE) / grey.size]
    first, green, last = (channel.astype(np.int16) for channel in cv2.split(pixels))
    red, blue = (first, last) if order is ColourOrder.RGB else (last, first)
    red -= green
    blue -= green
    (red_mean, red_variance), (blue_mean, blue_variance) = (_moments(d.astype(np.float64)) for d in (red, blue))
    colourless = np.count_nonzero((np.abs(red) + np.abs(blue) <= TINT) & (grey <= WHITE)) / grey.size
    ratio = red_mean / (271.0 - mean)  # 16 levels beyond white: no division by zero there
    spreads = sqrt(red_variance) / 255, sqrt(blue_variance) / 255
    return [red_mean / 255, ratio, blue_mean / 255, *spreads, colourless]


def _levels(grey: Levels) -> list[float]:
    """Return five quantiles of the grey levels, 0..1, and the root of the share of black pixels."""
    below = np.cumsum(np.bincount(grey.ravel(), minlength=256))
    wanted = [share * grey.size for share in _SHARES]
    return [*(np.searchsorted(below, wanted) / 255).tolist(), sqrt(below[BLACK] / grey.size)]


def _texture(wide: Floats, mean: float, variance: float) -> list[float]:
    """Return how levels differ over 1, 2 and 4 px, blobs of 2, 4 and 16 px, and the upper quarter's brightness."""
    energies = [_energies(wide, lag) for lag in (1, 2, 4)]
    (across, down), (across2, down2), _ = energies
    upper = wide[: max(1, len(wide) // 4)]
    return [
        sqrt(across + down) / 255,
        sqrt(across2 + down2) / 255,
        *((x + y) / (4 * variance + 16) for x, y in energies),
        (across - down) / (across + down + 16),
        *(_blobs(wide, lag)[0] for lag in (2, 4, 16)),
        (float(upper.sum()) / upper.size - mean) / 255,
    ]


def _fine(centre: Floats) -> list[float]:
    """Return mean, finest blobs, texture over 4 px, and the root of the share of neighbours of one level."""
    mean, variance = _moments(centre)
    across, down = _energies(centre, 4)
    x, y = centre[:, 1:] != centre[:, :-1], centre[1:] != centre[:-1]
    same = 1.0 - (np.count_nonzero(x) + np.count_nonzero(y)) / max(x.size + y.size, 1)
    return [mean / 255, sqrt(_blobs(centre, 1)[1]) / 1020, (across + down) / (4 * variance + 16), sqrt(same)]


def _moments(values: Floats) -> tuple[float, float]:
    """Return mean and variance of whole numbers."""
    flat = values.ravel()
    mean = float(flat.sum()) / flat.size
    return mean, max(float(flat @ flat) / flat.size - mean * mean, 0.0)


def _energies(values: Floats, lag: int) -> tuple[float, float]:
    """Return mean squared differences over ``lag`` px, across and down; 0 where the picture is smaller."""
    across, down = (values[:, lag:] - values[:, :-lag]).ravel(), (values[lag:] - values[:-lag]).ravel()
    return float(across @ across) / max(across.size, 1), float(down @ down) / max(down.size, 1)


def _blobs(values: Floats, lag: int) -> tuple[float, float]:
    """Return the balance (-1..1) of bright blobs over dark ones, and their mean square.

    Both are of the Laplacian over ``lag`` px: positive at a bright blob. Inverting a picture turns the balance round.
    """
    inner = values[lag:-lag, lag:-lag]
    if not inner.size:
        return 0.0, 0.0
    blobs = 4 * inner
    blobs -= values[: -2 * lag, lag:-lag]
    blobs -= values[2 * lag :, lag:-lag]
    blobs -= values[lag:-lag, : -2 * lag]
    blobs -= values[lag:-lag, 2 * lag :]
    flat = blobs.ravel()
    square = float(flat @ flat)
    return float(flat @ np.abs(flat)) / (square + 16 * flat.size), square / flat.size
