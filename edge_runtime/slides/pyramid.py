"""The pyramid of a slide, whichever library reads it."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Protocol

import numpy as np
import numpy.typing as npt

from edge_runtime.errors import SlideError

Pixels = npt.NDArray[np.uint8]
WHITE = 255


@dataclass(frozen=True)
class Level:
    """One resolution of a slide.

    Attributes:
        width_px: width in pixels of this level.
        height_px: height in pixels of this level.
        downsample: pixels of level 0 per pixel of this level, in one direction; exact where it is a whole number.
    """

    width_px: int
    height_px: int
    downsample: Fraction


class Pyramid(Protocol):
    """An opened slide. Several threads may read at once.

    Attributes:
        name: name in error messages.
        levels: the resolutions, the finest first.
        microns: microns per pixel of level 0 across and down, from the file; None if it does not state them.
        exact: whether pixels are those that the file stores. If not, the reader interpolates between them.
    """

    name: str
    levels: tuple[Level, ...]
    microns: tuple[float, float] | None
    exact: bool

    def read(self, level: int, x: int, y: int, width: int, height: int) -> Pixels:
        """Return a rectangle inside a level, uint8 height×width×3 RGB. Places without pixels are white.

        Args:
            level: number of the level.
            x: left edge, in pixels of the level.
            y: upper edge, in pixels of the level.
            width: width, in pixels of the level.
            height: height, in pixels of the level.

        Raises:
            SlideError: ``slide_tile_damaged``: pixels there cannot be decoded.
            MachineError: memory, file descriptors or I/O failed.
        """

    def close(self) -> None:
        """Release the file."""


def damaged(name: str, level: int, x: int, y: int, reason: object) -> SlideError:
    """Return the error for pixels that cannot be decoded."""
    return SlideError(
        f"{name}: found damaged pixels near x={x}, y={y} of level {level} ({reason}), expected a whole slide. "
        "Copy or export the slide again.",
        code="slide_tile_damaged",
    )


def unreadable(name: str, reason: object) -> SlideError:
    """Return the error for a file that no reader opens."""
    return SlideError(
        f"{name}: found a file that cannot be opened as a slide ({reason}), expected a pyramid such as SVS, NDPI, "
        "MRXS, DICOM or OME-TIFF. Copy it again, or export it as DICOM or RGB OME-TIFF in tiles.",
        code="slide_unreadable",
    )
