"""An image whose pixels are read when a tile is cut out of it, such as one scale of a whole slide."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import field

import numpy as np
import numpy.typing as npt

from edge_runtime.bundle.spec import ModelSpec
from edge_runtime.errors import UsageError
from edge_runtime.images.reader import DecodedImage, Source
from edge_runtime.images.scale import check_scale
from edge_runtime.serialisation.frozen import dataclass
from edge_runtime.tiling.slide import Grid, SlideReading

Glass = Callable[[Grid], npt.NDArray[np.bool_]]
"""Returns a mask of the grid, bool rows×columns, True where a tile shows empty glass."""

Overview = Callable[[int], npt.NDArray[np.uint8]]
"""Returns the whole image, reduced, uint8 H×W×3 BGR; its longer side has at most the given number of pixels."""


@dataclass(frozen=True, eq=False)
class LazyImage(DecodedImage):
    """An image that is never in memory as a whole.

    ``pixels`` has ``shape`` and ``dtype``, and two slices of it give an array. Such a read raises an
    :class:`edge_runtime.errors.ImageError` where the file is damaged.

    Attributes:
        reading: the level that is read, and the scale.
        overview: makes a reduced copy for display.
        glass: finds the tiles that are left out; None if all tiles are classified.
    """

    reading: SlideReading = field(kw_only=True)
    overview: Overview = field(kw_only=True)
    glass: Glass | None = field(kw_only=True)


def check_scale_of(image: Source | DecodedImage, name: str, stated: float | None, spec: ModelSpec) -> None:
    """Check the stated scale of an image, or the scale at which a whole slide is read.

    Args:
        image: the image whose tiles are classified.
        name: its name in the error.
        stated: its scale in microns per pixel, according to the user; None if it was not stated.
        spec: the model's spec.

    Raises:
        ImageScaleError: as in :func:`edge_runtime.images.scale.check_scale`.
        UsageError: likewise, or a scale is stated for a slide, which has one already.
    """
    if not isinstance(image, LazyImage):
        if stated is not None:
            check_scale(name, stated, spec.microns_per_pixel, spec.name)
    elif stated is not None:
        raise UsageError(f"{name}: found a scale for an opened slide. State it where the slide is opened.")
    elif spec.microns_per_pixel is not None:
        check_scale(name, image.reading.microns_per_pixel, spec.microns_per_pixel, spec.name)
