"""Statistics of many small images of one size at once, with the bits of :func:`statistics` of each.

The images lie one below the other, so that one array operation computes the differences of all of them. The sums of
each image are then taken from its part of the arrays. It takes about half the time of one image after the other.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from edge_runtime.images.colour import ColourOrder
from edge_runtime.images.reader import DecodedImage
from edge_runtime.ood.statistics import (
    LAGS,
    Differences,
    Floats,
    Levels,
    Texture,
    Tints,
    Wide,
    is_small,
    laplacian_of,
    line_of,
    lines_of,
    numbers,
    statistics,
    to_grey,
    upper,
)

MOST_PIXELS = 1 << 17
"""Largest number of pixels that are computed together. Their arrays take about 3 MB."""


def statistics_of_all(images: Sequence[DecodedImage]) -> Floats:
    """Return the statistics of N images, float64 N×K.

    Large images, and images of several sizes or orders, are computed one after the other.
    """
    shape, order = images[0].pixels.shape, images[0].order
    alike = all(each.pixels.shape == shape and each.order is order for each in images)
    if not alike or not is_small(images[0]):
        return np.array([statistics(image) for image in images])
    most = max(1, MOST_PIXELS // (shape[0] * shape[1]))
    return np.concatenate([_of_stack(images[i : i + most], order) for i in range(0, len(images), most)])


def _of_stack(images: Sequence[DecodedImage], order: ColourOrder) -> Floats:
    pixels = np.concatenate([upper(image.pixels) for image in images])
    grey, count = to_grey(pixels, order), len(images)
    parts = zip(_textures(grey, count), _tints(pixels, grey, count, order), strict=True)
    return np.array([numbers(texture, tints, texture) for texture, tints in parts])


def _textures(grey: Levels, count: int) -> list[Texture]:
    """Return the textures of ``count`` images, whose grey levels lie one below the other, uint8 (N·H)×W."""
    line, height = line_of(grey), len(grey) // count
    each = zip(*(_differences(line, (height, grey.shape[1]), count, lag) for lag in LAGS), strict=True)
    levels = grey.reshape(count, height, -1)
    return [Texture(levels[i], dict(zip(LAGS, found, strict=True))) for i, found in enumerate(each)]


def _differences(line: Wide, shape: tuple[int, int], count: int, lag: int) -> list[Differences]:
    """Return the differences of each image over ``lag`` px; those between two images are left out."""
    (height, width), tall = shape, (count * shape[0], shape[1])
    across, down = lines_of(line, tall, lag)
    beside = across.reshape(tall)[:, :-lag]
    below, inner = max(height - lag, 0) * width, height - 2 * lag
    blobs = laplacian_of(across, down, tall, lag) if inner > 0 else np.empty((0, 0), dtype=np.int16)
    parts = [(slice(top, top + height), slice(top, top + max(inner, 0))) for top in range(0, count * height, height)]
    starts = range(0, count * height * width, height * width)
    return [
        Differences(beside[rows], down[start : start + below], blobs[inside])
        for (rows, inside), start in zip(parts, starts, strict=True)
    ]


def _tints(pixels: Levels, grey: Levels, count: int, order: ColourOrder) -> list[Tints] | list[None]:
    """Return the tints of each image; None for grey images."""
    if order is ColourOrder.GREY:
        return [None] * count
    red, blue, colourless = Tints.of(pixels, grey, order)
    size = len(red) // count
    parts = [slice(i, i + size) for i in range(0, count * size, size)]
    return [Tints(red[part], blue[part], colourless[part]) for part in parts]
