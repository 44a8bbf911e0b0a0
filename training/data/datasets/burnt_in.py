"""Detect callipers, dotted lines and captions in stored ultrasound images.

Such marks are white and one or two pixels thin, while echoes are as coarse as the beam is wide. A pixel counts if it
is much brighter than the median around it. The manufacturer's logo in the upper left corner is ignored.
"""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from edge_runtime.errors import ImageError
from edge_runtime.images.reader import read
from training.data.datasets.dataset import Sample

LEAST_PX = 3
"""Pixels from which an image is said to hold marks. Of 577 published images 385 have none and 7 one or two; the six
with 3 to 15 were looked at, and each holds a caption or a calliper."""

_WINDOW_PX = 5
_BRIGHTER = 80.0
_SIGN_SHARE = 15  # of the sides: the maker's sign

NAME, WITH, WITHOUT = "burnt-in marks", "callipers, lines or captions", "none found"


def marks_px(grey: npt.NDArray[np.uint8]) -> int:
    """Return the number of pixels of an image (uint8 H×W) that look drawn."""
    apart = grey.astype(np.float32) - cv2.medianBlur(grey, _WINDOW_PX)
    found = apart > _BRIGHTER
    height, width = found.shape
    found[: height // _SIGN_SHARE, : width // _SIGN_SHARE] = False
    return int(found.sum())


def trait(sample: Sample) -> tuple[str, str] | None:
    """Return what a figure by subgroup says of an image; None if it cannot be read."""
    try:
        pixels = read(sample.path).pixels
    except ImageError:
        return None
    grey = pixels if pixels.ndim == 2 else pixels.max(axis=2)
    return NAME, WITH if marks_px(np.asarray(grey, dtype=np.uint8)) >= LEAST_PX else WITHOUT
