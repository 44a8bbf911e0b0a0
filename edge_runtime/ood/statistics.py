"""Statistics of an image as read, which separate patches of tissue, ultrasounds, films, screenshots and noise.

Most statistics use the *overview*: the image itself if it is small, otherwise the means of up to 64 blocks a side. Fine
texture is measured on the *centre*: the middle 64×64 px at full resolution. Both contain whole numbers, and all sums
over them are whole numbers below 2^53. Only sums are divided or rooted, so the float64 results are equal on all
processors, in any order of addition.

For small images, the number of calls to OpenCV and NumPy determines the time. Values that several statistics use are
therefore computed once (:class:`Texture`). All rows of levels lie in one array, so a neighbour across or down is at a
fixed offset, and the differences of all pixels are one subtraction. At an edge such a neighbour lies in another row;
these values are cut off.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from math import sqrt
from typing import Any, NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from edge_runtime.images.colour import ColourOrder
from edge_runtime.images.formats.decoding import Pixels
from edge_runtime.images.reader import DecodedImage

Floats = npt.NDArray[np.float64]
Levels = npt.NDArray[np.uint8]
Wide = npt.NDArray[np.int16]

LAGS = (1, 2, 4, 16)
"""Distances of differences, in pixels."""

SIDE_PX = 64
"""Longest side of overview and centre, in pixels."""

WHITE, TINT = 205, 6
"""A pixel is colourless if |R − G| + |B − G| is at most ``TINT`` and its grey level at most ``WHITE``. White pixels
do not count, as glass and paper are white in colour images too."""

BLACK = 8
"""Highest grey level that counts as black."""

_SHARES = np.array([0.02, 0.25, 0.5, 0.75, 0.98])
_GREY = {ColourOrder.RGB: cv2.COLOR_RGB2GRAY, ColourOrder.BGR: cv2.COLOR_BGR2GRAY}


def statistics(image: DecodedImage) -> Floats:
    """Return the numbers named by :data:`edge_runtime.ood.detector.NAMES`, float64, each about -1..1.

    An image mirrored left to right has the same statistics, as far as its blocks mirror. Of 16-bit values, the upper 8
    bits are used. A grey image and a colour image with three equal channels have the same statistics.

    Args:
        image: image from :func:`edge_runtime.images.reader.read`, before any step of a spec.
    """
    small = is_small(image)
    overview = _overview(image.pixels)
    whole = Texture(to_grey(overview, image.order))
    centre = whole if small else Texture(to_grey(_centre(image.pixels), image.order))
    tints = None if image.order is ColourOrder.GREY else Tints.of(overview, whole.grey, image.order)
    return np.array(numbers(whole, tints, centre))


def numbers(whole: Texture, tints: Tints | None, centre: Texture) -> list[float]:
    """Return the statistics from the textures of overview and centre, and the overview's tints (None if grey)."""
    return [*_colour(whole, tints), *_levels(whole.grey), *_coarse(whole), *_fine(centre)]


def is_small(image: DecodedImage) -> bool:
    """Return whether an image is its own overview and centre."""
    return bool(max(image.pixels.shape[:2]) <= SIDE_PX)


def _overview(pixels: Pixels) -> Levels:
    """Return block means, rounded, uint8; block i of n begins at row (or column) floor(i·side/n)."""
    height, width = pixels.shape[:2]
    deep = pixels.dtype != np.uint8
    if max(height, width) <= SIDE_PX:
        return upper(pixels)
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
    return np.ascontiguousarray(upper(pixels[y : y + SIDE_PX, x : x + SIDE_PX]))


def upper(pixels: npt.NDArray[Any]) -> Levels:
    """Return the upper 8 bits of the values."""
    return np.asarray(pixels if pixels.dtype == np.uint8 else pixels >> 8, dtype=np.uint8)


def to_grey(pixels: Levels, order: ColourOrder) -> Levels:
    """Return 0.299 R + 0.587 G + 0.114 B, rounded (ITU-R BT.601, as in a spec's colour step)."""
    return pixels if order is ColourOrder.GREY else np.asarray(cv2.cvtColor(pixels, _GREY[order]), dtype=np.uint8)


class Tints(NamedTuple):
    """Channel differences of a colour image, one value a pixel.

    Attributes:
        red, blue: R − G and B − G, int16.
        colourless: whether the pixel is colourless.
    """

    red: Wide
    blue: Wide
    colourless: npt.NDArray[np.bool_]

    @classmethod
    def of(cls, pixels: Levels, grey: Levels, order: ColourOrder) -> Tints:
        """Compute the differences of colour pixels with these grey levels."""
        channels = pixels.reshape(-1, 3).T.astype(np.int16, order="C")
        first, last = channels[0] - channels[1], channels[2] - channels[1]
        colourless = np.abs(first) + np.abs(last) <= TINT
        colourless &= (grey <= WHITE).ravel()
        return cls(first, last, colourless) if order is ColourOrder.RGB else cls(last, first, colourless)


def _colour(whole: Texture, tints: Tints | None) -> list[float]:
    """Return six statistics of channel differences: means, spreads, colourless share, and a ratio.

    The ratio is the mean of R − G divided by the image's distance from white. A stain absorbs light in proportion to
    its amount, so the ratio hardly depends on the amount.
    """
    size = whole.grey.size
    if tints is None:
        return [0.0, 0.0, 0.0, 0.0, 0.0, np.count_nonzero(whole.grey <= WHITE) / size]
    red, blue, colourless = tints
    red_mean, blue_mean = cv2.sumElems(red)[0] / size, cv2.sumElems(blue)[0] / size
    return [
        red_mean / 255,
        red_mean / (271.0 - whole.mean),  # 16 levels above white, so the divisor is never 0
        blue_mean / 255,
        sqrt(variance(red, red_mean)) / 255,
        sqrt(variance(blue, blue_mean)) / 255,
        np.count_nonzero(colourless) / size,
    ]


def _levels(grey: Levels) -> list[float]:
    """Return five quantiles of the grey levels, 0..1, and the root of the share of black pixels."""
    below = np.bincount(grey.ravel(), minlength=256).cumsum()
    quantiles = below.searchsorted(_SHARES * grey.size) / 255
    return [*quantiles.tolist(), sqrt(below[BLACK] / grey.size)]


def _coarse(whole: Texture) -> list[float]:
    """Return level differences over 1, 2 and 4 px, blobs of 2, 4 and 16 px, and the brightness of the upper quarter."""
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
        *(_balance(found.laplacian) for found in (twos, fours, sixteens)),
        (cv2.sumElems(upper)[0] / upper.size - whole.mean) / 255,
    ]


def _fine(centre: Texture) -> list[float]:
    """Return mean, finest blobs, texture over 4 px, and the root of the share of neighbours with equal levels."""
    across, down = centre.ones.across, centre.ones.down
    pairs = across.size + down.size
    differing = sum(cv2.countNonZero(found) for found in (across, down) if found.size)
    grain = sqrt(mean_square(centre.ones.laplacian)) / 1020
    return [centre.mean / 255, grain, centre.roughness_4, sqrt((pairs - differing) / max(pairs, 1))]


def _balance(blobs: npt.NDArray[np.int16]) -> float:
    """Return the balance of bright and dark blobs, -1..1; inverting the image changes its sign."""
    if not blobs.size:
        return 0.0
    every, bright = squares(blobs), squares(cv2.threshold(blobs, 0, 0, cv2.THRESH_TOZERO)[1])
    return (2 * bright - every) / (every + 16 * blobs.size)


class Differences:
    """Differences of an image's levels over one distance.

    Attributes:
        across: int16 H×(W − lag): each level minus the one ``lag`` px to its left; empty if the image is narrower.
        down: int16 ((H − lag)·W,): each level minus the one ``lag`` px above; empty if the image is lower.
        laplacian: int16 (H − 2 lag)×(W − 2 lag), -1020..1020; positive at a bright dot; empty for a small image.
    """

    def __init__(self, across: Wide, down: Wide, laplacian: Wide) -> None:
        """Store the differences."""
        self.across, self.down, self.laplacian = across, down, laplacian

    @classmethod
    def of(cls, line: Wide, shape: tuple[int, int], lag: int) -> Differences:
        """Compute the differences.

        Args:
            line: levels row after row, int16, with at least ``lag`` further values at the end.
            shape: height and width.
            lag: distance in pixels.
        """
        across, down = lines_of(line, shape, lag)
        return cls(across.reshape(shape)[:, :-lag], down, laplacian_of(across, down, shape, lag))

    def energies(self) -> tuple[float, float]:
        """Return the mean squares across and down; 0 if there are no differences."""
        return mean_square(self.across), mean_square(self.down)


def lines_of(line: Wide, shape: tuple[int, int], lag: int) -> tuple[Wide, Wide]:
    """Return the differences across and down over ``lag`` px, row after row; those across meet other rows at an edge.

    Args:
        line: as in :meth:`Differences.of`.
        shape: as in :meth:`Differences.of`.
        lag: as in :meth:`Differences.of`.
    """
    height, width = shape
    size, row = height * width, lag * width
    return line[lag : size + lag] - line[:size], line[row:size] - line[: max(size - row, 0)]


def laplacian_of(across: Wide, down: Wide, shape: tuple[int, int], lag: int) -> Wide:
    """Return the Laplacian from the changes of the differences, as in :class:`Differences`."""
    (height, width), row = shape, lag * shape[1]
    if height <= 2 * lag or width <= 2 * lag:
        return np.empty((0, 0), dtype=np.int16)
    found: Wide = across[row - lag : -row - lag] - across[row:-row]
    found += down[:-row]
    found -= down[row:]
    return found.reshape(-1, width)[:, lag:-lag]


class Texture:
    """Values that several statistics of one image use.

    Attributes:
        grey: grey levels, uint8 H×W.
        mean, variance: mean and variance of the levels.
        ones, fours: differences over 1 and 4 px.
        roughness_4: mean square of the differences over 4 px, as a share of the variance.
    """

    def __init__(self, grey: Levels, known: Mapping[int, Differences] | None = None) -> None:
        """Compute the shared values; ``known`` holds the differences by distance, if they are computed already."""
        self.grey, self._known = grey, known
        self.mean = cv2.sumElems(grey)[0] / grey.size
        self.variance = variance(grey, self.mean)
        self._line = None if known is not None else line_of(grey)
        self.ones, self.fours = self.differences(1), self.differences(4)
        self.roughness_4 = self.beside_variance(sum(self.fours.energies()))

    def differences(self, lag: int) -> Differences:
        """Return the differences over ``lag`` px; ``lag`` is one of :data:`LAGS`."""
        if self._known is not None:
            return self._known[lag]
        assert self._line is not None
        height, width = self.grey.shape
        return Differences.of(self._line, (height, width), lag)

    def beside_variance(self, energy: float) -> float:
        """Return a mean square, summed over both directions, as a share of the variance; small for uniform images."""
        return energy / (4 * self.variance + 16)


def line_of(grey: Levels) -> Wide:
    """Return the levels row after row, int16, and further zeros for differences over any distance."""
    line = np.zeros(grey.size + max(LAGS), dtype=np.int16)
    line[: grey.size] = grey.ravel()
    return line


def variance(values: npt.NDArray[Any], mean: float) -> float:
    """Return the variance of uint8 or int16 values, 0 or more."""
    return max(mean_square(values) - mean * mean, 0.0)


def mean_square(values: npt.NDArray[Any]) -> float:
    """Return the mean square of uint8 or int16 values; 0 for an empty array."""
    size = values.size
    return squares(values) / size if size else 0.0


def squares(values: npt.NDArray[Any]) -> int:
    """Return the sum of squares of uint8 or int16 values; the array must not be empty.

    Some builds of OpenCV square a root; rounding restores the whole number.
    """
    return round(cv2.norm(values, cv2.NORM_L2SQR))
