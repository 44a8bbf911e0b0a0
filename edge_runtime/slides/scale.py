"""Choose the level of a slide to read, and the factor of the area average, for a scale in microns per pixel."""

from __future__ import annotations

import math
from collections.abc import Sequence

from edge_runtime.errors import SlideError
from edge_runtime.images.scale import TOLERANCE
from edge_runtime.slides.area_average import LARGEST_FACTOR, UNIT
from edge_runtime.slides.pyramid import Level, Pyramid
from edge_runtime.tiling.slide import SlideReading

SAME = 0.01
"""A level whose scale differs by at most this share is read as it is: half a pixel over a tile of 50 pixels."""
ISOTROPIC = 0.02
"""Largest accepted difference of the scales across and down, as a share."""


def level_0_microns(pyramid: Pyramid, stated: float | None) -> float:
    """Return the microns per pixel of level 0: as stated by the user, else from the file.

    Raises:
        SlideError: ``slide_without_scale``: neither states it. ``slide_pixels_unequal``: the file's pixels are no
            squares.
    """
    if stated is not None:
        return stated
    if pyramid.microns is None or not all(math.isfinite(side) and side > 0 for side in pyramid.microns):
        raise SlideError(
            f"{pyramid.name}: found no scale in the file, expected microns per pixel. State it with --mpp.",
            code="slide_without_scale",
        )
    across, down = pyramid.microns
    if abs(across - down) > ISOTROPIC * min(across, down):
        raise SlideError(
            f"{pyramid.name}: found {across:g} microns per pixel across and {down:g} down, expected squares. "
            "Export the slide with square pixels.",
            code="slide_pixels_unequal",
        )
    return (across + down) / 2


def choose(name: str, levels: Sequence[Level], level_0: float, wanted: float) -> tuple[int, int]:
    """Return the level to read, and its pixels per pixel of the result times 256.

    It is the coarsest level that is at most :data:`SAME` coarser than ``wanted``. If all levels are coarser, it is
    level 0 as it is, as long as it lies within the tolerance of all images.

    Args:
        name: name of the slide in the error.
        levels: the levels of the slide.
        level_0: microns per pixel of level 0.
        wanted: microns per pixel of the result.

    Raises:
        SlideError: ``slide_too_coarse``: the slide is coarser. ``slide_too_fine``: the factor is above
            :data:`edge_runtime.slides.area_average.LARGEST_FACTOR`.
    """
    scales = [level_0 * float(level.downsample) for level in levels]
    fine = [number for number, scale in enumerate(scales) if scale <= wanted * (1 + SAME)]
    if not fine:
        if level_0 <= wanted * (1 + TOLERANCE) * (1 + 1e-9):
            return 0, UNIT
        raise SlideError(
            f"{name}: found {level_0:g} microns per pixel at its finest level, expected {wanted:g} or less. Enlarging "
            "would invent tissue: scan the slide at a higher magnification.",
            code="slide_too_coarse",
        )
    number = max(fine, key=lambda each: scales[each])
    if scales[number] >= wanted * (1 - SAME):
        return number, UNIT
    factor = round(UNIT * wanted / scales[number])
    if factor > LARGEST_FACTOR:
        raise SlideError(
            f"{name}: found {level_0:g} microns per pixel, too fine for a model of {wanted:g}. Correct --mpp.",
            code="slide_too_fine",
        )
    return number, factor


def reading_of(pyramid: Pyramid, stated: float | None, wanted: float) -> SlideReading:
    """Return how a slide is read at ``wanted`` microns per pixel.

    Raises:
        SlideError: as in :func:`level_0_microns` and :func:`choose`.
    """
    level_0 = level_0_microns(pyramid, stated)
    number, factor = choose(pyramid.name, pyramid.levels, level_0, wanted)
    downsample = pyramid.levels[number].downsample
    return SlideReading(number, downsample, factor, level_0, stated is not None, pyramid.exact)
