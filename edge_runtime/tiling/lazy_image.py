"""An image whose pixels are read when a tile is cut out of it, such as one scale of a whole slide."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from edge_runtime.images.reader import DecodedImage
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
