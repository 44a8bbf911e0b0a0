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
Whole = npt.NDArray[np.integer[Any] | np.floating[Any]]  # as OpenCV types what it returns; here always uint8 or int16

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
    centre = grey if small else _grey(_centre(picture.pixels), picture.order)
    mean, variance = _moments(grey)
    return np.array(
        [
            *_colour(overview, grey, picture.order, mean),
            *_levels(grey),
            *_texture(grey, mean, variance),
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
    shaded = cv2.inRange(grey, 0, WHITE)
    if order is ColourOrder.GREY:
        return [0.0, 0.0, 0.0, 0.0, 0.0, cv2.countNonZero(shaded) / grey.size]
    first, green, last = cv2.split(pixels)
    red, blue = (first, last) if order is ColourOrder.RGB else (last, first)
    tint = cv2.add(cv2.absdiff(red, green), cv2.absdiff(blue, green))  # stops at 255, far above TINT
    colourless = cv2.countNonZero(cv2.bitwise_and(cv2.inRange(tint, 0, TINT), shaded)) / grey.size
    red_mean, red_variance = _moments(cv2.subtract(red, green, dtype=cv2.CV_16S))
    blue_mean, blue_variance = _moments(cv2.subtract(blue, green, dtype=cv2.CV_16S))
    ratio = red_mean / (271.0 - mean)  # 16 levels beyond white: no division by zero there
    return [red_mean / 255, ratio, blue_mean / 255, sqrt(red_variance) / 255, sqrt(blue_variance) / 255, colourless]


def _levels(grey: Levels) -> list[float]:
    """Return five quantiles of the grey levels, 0..1, and the root of the share of black pixels."""
    below = np.cumsum(np.bincount(grey.ravel(), minlength=256))
    wanted = [share * grey.size for share in _SHARES]
    return [*(np.searchsorted(below, wanted) / 255).tolist(), sqrt(below[BLACK] / grey.size)]


def _texture(grey: Levels, mean: float, variance: float) -> list[float]:
    """Return how levels differ over 1, 2 and 4 px, blobs of 2, 4 and 16 px, and the upper quarter's brightness."""
    energies = [_energies(grey, lag) for lag in (1, 2, 4)]
    (across, down), (across2, down2), _ = energies
    upper = grey[: max(1, len(grey) // 4)]
    return [
        sqrt(across + down) / 255,
        sqrt(across2 + down2) / 255,
        *((x + y) / (4 * variance + 16) for x, y in energies),
        (across - down) / (across + down + 16),
        *(_blobs(grey, lag)[0] for lag in (2, 4, 16)),
        (cv2.sumElems(upper)[0] / upper.size - mean) / 255,
    ]


def _fine(centre: Levels) -> list[float]:
    """Return mean, finest blobs, texture over 4 px, and the root of the share of neighbours of one level."""
    mean, variance = _moments(centre)
    across, down = _energies(centre, 4)
    pairs = ((centre[:, 1:], centre[:, :-1]), (centre[1:], centre[:-1]))
    equal = sum(cv2.countNonZero(cv2.compare(a, b, cv2.CMP_EQ)) for a, b in pairs if a.size)
    same = equal / max(sum(a.size for a, _ in pairs), 1)
    return [mean / 255, sqrt(_blobs(centre, 1)[1]) / 1020, (across + down) / (4 * variance + 16), sqrt(same)]


def _moments(values: Whole) -> tuple[float, float]:
    """Return mean and variance."""
    mean = cv2.sumElems(values)[0] / values.size
    return mean, max(_squares(values) / values.size - mean * mean, 0.0)


def _squares(values: Whole, others: Whole | None = None) -> int:
    """Return the sum of squares, of differences if there are ``others``; 0 of nothing.

    Some builds of OpenCV square a root: rounding gives the whole number back.
    """
    if not values.size:
        return 0
    return round(cv2.norm(values, cv2.NORM_L2SQR) if others is None else cv2.norm(values, others, cv2.NORM_L2SQR))


def _energies(grey: Levels, lag: int) -> tuple[float, float]:
    """Return mean squared differences over ``lag`` px, across and down; 0 where the picture is smaller."""
    right, below = grey[:, lag:], grey[lag:]
    return (
        _squares(right, grey[:, :-lag]) / max(right.size, 1),
        _squares(below, grey[:-lag]) / max(below.size, 1),
    )


def _blobs(grey: Levels, lag: int) -> tuple[float, float]:
    """Return the balance (-1..1) of bright blobs over dark ones, and their mean square.

    Both are of the Laplacian over ``lag`` px: positive at a bright blob. Inverting a picture turns the balance round.
    """
    wide = grey.astype(np.int16)
    blobs = 4 * wide[lag:-lag, lag:-lag]
    if not blobs.size:
        return 0.0, 0.0
    blobs -= wide[: -2 * lag, lag:-lag]
    blobs -= wide[2 * lag :, lag:-lag]
    blobs -= wide[lag:-lag, : -2 * lag]
    blobs -= wide[lag:-lag, 2 * lag :]
    every, bright = _squares(blobs), _squares(np.maximum(blobs, 0))
    return (2 * bright - every) / (every + 16 * blobs.size), every / blobs.size
