"""Detection of callipers, dotted lines and captions that are burnt into stored ultrasound images.

These marks are white and one or two pixels thin; echoes are as coarse as the beam width. A pixel counts as a mark if it
is much brighter than the median around it. The scanner maker's logo in the upper left corner is excluded.
"""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from edge_runtime.errors import ImageError
from edge_runtime.images.reader import read
from training.data.datasets.dataset import Sample

LEAST_PX = 3
"""Minimum number of mark pixels in an image with marks.

Of 577 published images 385 have none and 7 have one or two. The six images with 3 to 15 were inspected: each contains a
caption or a calliper.
"""

_WINDOW_PX = 5
_BRIGHTER = 80.0
_SIGN_SHARE = 15  # the maker's logo is within 1/15 of each side

NAME, WITH, WITHOUT = "burnt-in marks", "callipers, lines or captions", "none found"


def marks_px(grey: npt.NDArray[np.uint8]) -> int:
    """Return the number of mark pixels in an image (uint8 H×W)."""
    apart = grey.astype(np.float32) - cv2.medianBlur(grey, _WINDOW_PX)
    found = apart > _BRIGHTER
    height, width = found.shape
    found[: height // _SIGN_SHARE, : width // _SIGN_SHARE] = False
    return int(found.sum())


def trait(sample: Sample) -> tuple[str, str] | None:
    """Return the trait of an image for figures by subgroup; None if the image cannot be read."""
    try:
        pixels = read(sample.path).pixels
    except ImageError:
        return None
    grey = pixels if pixels.ndim == 2 else pixels.max(axis=2)
    return NAME, WITH if marks_px(np.asarray(grey, dtype=np.uint8)) >= LEAST_PX else WITHOUT
