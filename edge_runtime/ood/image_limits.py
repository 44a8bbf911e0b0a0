"""Limits of the image as read that belong to the out-of-distribution check: the length of its sides, and its dark part.

A network sees a crop, or an image of its input's size. It cannot know how large the image was, or whether the film
around a region is a negative.
"""

from __future__ import annotations

from dataclasses import field
from functools import reduce
from typing import TYPE_CHECKING

import numpy as np

from edge_runtime.serialisation.frozen import dataclass
from edge_runtime.serialisation.records import ABSENT

if TYPE_CHECKING:
    from edge_runtime.images.reader import DecodedImage

DARK = 8
"""Highest level, of 255, that counts as dark. A level of at least 255 minus this is bright."""

SAMPLES = 32
"""About the number of rows and of columns on which the dark share is measured."""

_NONE_DARK = 1e-6


@dataclass(frozen=True)
class ImageLimits:
    """Limits of the image as read; beyond one of them an image is out-of-distribution. At least one is set.

    Attributes:
        least_side_px: smallest shorter side, in pixels. Regions are measured in pixels, which cover more tissue in an
            image of coarser scale.
        most_side_px: largest longer side, in pixels. A larger image is reduced, and then shows another scale.
        least_dark: smallest share (0..1) of dark pixels among dark and bright ones (:func:`dark_share`). A film has a
            dark surround, its negative has a bright one.
    """

    least_side_px: int | None = field(default=None, metadata=ABSENT)
    most_side_px: int | None = field(default=None, metadata=ABSENT)
    least_dark: float | None = field(default=None, metadata=ABSENT)

    def __post_init__(self) -> None:
        sides = [side for side in (self.least_side_px, self.most_side_px) if side is not None]
        if not sides and self.least_dark is None:
            raise ValueError("familiarity: found image without a limit, expected one or more. Leave image out.")
        if sides and min(sides) < 1:
            raise ValueError(f"familiarity: found a side of {min(sides)} px, expected 1 or more.")
        if len(sides) == 2 and sides[0] > sides[1]:
            raise ValueError(
                f"familiarity: found sides of {sides[0]} to {sides[1]} px, expected the smaller one first."
            )
        if self.least_dark is not None and not 0.0 < self.least_dark <= 1.0:
            raise ValueError(f"familiarity: found least_dark {self.least_dark}, expected above 0, at most 1.")

    def excess(self, image: DecodedImage) -> float:
        """Return the largest ratio by which the image is beyond a limit, above 1; 0 if it is within all of them.

        Args:
            image: the image as read, before the crop around a region.
        """
        height, width = image.pixels.shape[:2]
        largest = 1.0
        if self.least_side_px is not None:
            largest = max(largest, self.least_side_px / min(height, width))
        if self.most_side_px is not None:
            largest = max(largest, max(height, width) / self.most_side_px)
        if self.least_dark is not None:
            largest = max(largest, self.least_dark / max(dark_share(image), _NONE_DARK))
        return largest if largest > 1.0 else 0.0


def dark_share(image: DecodedImage) -> float:
    """Return the number of dark pixels divided by that of dark and bright ones; 0 if there are none.

    They are counted on every n-th row and every m-th column from the first one: n is the height divided by
    :data:`SAMPLES`, rounded down, at least 1; m is the same of the width. A pixel is dark if the upper 8 bits of its
    largest channel are at most :data:`DARK`, and bright if they are at least 255 - :data:`DARK`.
    """
    height, width = image.pixels.shape[:2]
    rows = image.pixels[:: max(1, height // SAMPLES)].copy()  # memory is read faster in whole rows
    sample = rows[:, :: max(1, width // SAMPLES)]
    if sample.ndim == 3:
        sample = reduce(np.maximum, sample.transpose(2, 0, 1))  # in a fraction of the time of max(axis=2)
    levels = sample if sample.dtype == np.uint8 else sample >> 8
    dark, bright = np.count_nonzero(levels <= DARK), np.count_nonzero(levels >= 255 - DARK)
    return int(dark) / max(int(dark + bright), 1)
