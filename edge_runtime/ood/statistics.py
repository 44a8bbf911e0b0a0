"""Statistics of a picture as read: what tells a patch of tissue from an ultrasound, a film, a screenshot or noise.

Most are taken on the *overview*: the picture itself if it is small, or means of blocks, 64 a side. What that loses,
fine texture, is taken on the *centre*: the middle 64×64 px at the picture's own resolution. Both hold whole numbers,
every sum over them is a whole number below 2^53, and only sums are rooted and divided: a float64 result is the same
on every processor, whatever the order of adding.

For a small picture the cost lies in how often OpenCV and NumPy are called, not in the arithmetic. So what several
statistics share is worked out once (:class:`edge_runtime.ood.texture.Texture`).
"""

from __future__ import annotations

from itertools import pairwise
from math import sqrt
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from edge_runtime.images.colour import ColourOrder
from edge_runtime.images.formats.decoding import Pixels
from edge_runtime.images.reader import Picture
from edge_runtime.ood.texture import Levels, Texture, mean_square, squares, variance

Floats = npt.NDArray[np.float64]

SIDE_PX = 64
"""Longest side of overview and centre."""

WHITE, TINT = 205, 6
"""A pixel is colourless where |R − G| + |B − G| is at most ``TINT`` and its grey level at most ``WHITE``: white glass
and paper say nothing about colour."""

BLACK = 8
"""The highest grey level that counts as black."""

_SHARES = np.array([0.02, 0.25, 0.5, 0.75, 0.98])
_GREY = {ColourOrder.RGB: cv2.COLOR_RGB2GRAY, ColourOrder.BGR: cv2.COLOR_BGR2GRAY}


def statistics(picture: Picture) -> Floats:
    """Return the numbers named by :data:`edge_runtime.ood.detector.NAMES`, float64, each about -1..1.

    A picture mirrored left to right has the same statistics, as far as its blocks mirror. A picture of 16 bits counts
    by its upper ones. Grey and colour of three equal channels are the same.

    Args:
        picture: as :func:`edge_runtime.images.reader.read` gives it, before any step of a spec.
    """
    small = max(picture.pixels.shape[:2]) <= SIDE_PX
    overview = _overview(picture.pixels)
    whole = Texture(_grey(overview, picture.order))
    centre = whole if small else Texture(_grey(_centre(picture.pixels), picture.order))
    return np.array([*_colour(overview, whole, picture.order), *_levels(whole.grey), *_coarse(whole), *_fine(centre)])


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


def _colour(pixels: Levels, whole: Texture, order: ColourOrder) -> list[float]:
    """Return differences of channels: their means and spreads, and R − G beside how far the picture is from white.

    A stain takes light away in proportion to its amount, so that this ratio hardly depends on the amount.
    """
    shaded, size = whole.grey <= WHITE, whole.grey.size
    if order is ColourOrder.GREY:
        return [0.0, 0.0, 0.0, 0.0, 0.0, np.count_nonzero(shaded) / size]
    channels = pixels.reshape(-1, 3).T.astype(np.int16, order="C")
    first, last = channels[0] - channels[1], channels[2] - channels[1]
    near_grey = np.abs(first) + np.abs(last) <= TINT
    colourless = np.count_nonzero(near_grey & shaded.ravel()) / size
    red, blue = (first, last) if order is ColourOrder.RGB else (last, first)
    red_mean, blue_mean = cv2.sumElems(red)[0] / size, cv2.sumElems(blue)[0] / size
    return [
        red_mean / 255,
        red_mean / (271.0 - whole.mean),  # 16 levels beyond white: no division by zero there
        blue_mean / 255,
        sqrt(variance(red, red_mean)) / 255,
        sqrt(variance(blue, blue_mean)) / 255,
        colourless,
    ]


def _levels(grey: Levels) -> list[float]:
    """Return five quantiles of the grey levels, 0..1, and the root of the share of black pixels."""
    below = np.bincount(grey.ravel(), minlength=256).cumsum()
    quantiles = below.searchsorted(_SHARES * grey.size) / 255
    return [*quantiles.tolist(), sqrt(below[BLACK] / grey.size)]


def _coarse(whole: Texture) -> list[float]:
    """Return how levels differ over 1, 2 and 4 px, blobs of 2, 4 and 16 px, and the upper quarter's brightness."""
    ones, twos, fours, sixteens = whole.ones, whole.differences(2), whole.fours, whole.differences(16)
    across, down = ones.energies()
    both, both_2 = across + down, sum(twos.energies())
    upper = whole.grey[: max(1, len(whole.grey) // 4)]
    return [
        sqrt(both) / 255,
        sqrt(both_2) / 255,
        whole.beside_variance(both),
        whole.beside_variance(both_2),
        whole.roughness_4,
        (across - down) / (both + 16),
        *(_balance(found.laplacian()) for found in (twos, fours, sixteens)),
        (cv2.sumElems(upper)[0] / upper.size - whole.mean) / 255,
    ]


def _fine(centre: Texture) -> list[float]:
    """Return mean, finest blobs, texture over 4 px, and the root of the share of neighbours of one level."""
    across, down = centre.ones.across, centre.ones.down
    pairs = across.size + down.size
    differing = sum(cv2.countNonZero(found) for found in (across, down) if found.size)
    grain = sqrt(mean_square(centre.ones.laplacian())) / 1020
    return [centre.mean / 255, grain, centre.roughness_4, sqrt((pairs - differing) / max(pairs, 1))]


def _balance(blobs: npt.NDArray[np.int16]) -> float:
    """Return the balance (-1..1) of bright blobs over dark ones; inverting a picture turns it round."""
    if not blobs.size:
        return 0.0
    every, bright = squares(blobs), squares(cv2.threshold(blobs, 0, 0, cv2.THRESH_TOZERO)[1])
    return (2 * bright - every) / (every + 16 * blobs.size)
