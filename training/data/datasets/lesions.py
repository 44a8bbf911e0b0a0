"""Lesion masks of published images, for the data sets that mark lesions."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from edge_runtime.images.reader import read
from edge_runtime.images.region import Region
from training.data.datasets import busi, mias
from training.data.datasets.dataset import Sample
from training.errors import DatasetError

Mask = npt.NDArray[np.bool_]
Lesions = Callable[[Sample], Mask | None]
"""Function from a sample to the lesion mask of its *whole* image, bool H×W; None if no lesion is marked."""


def of_busi(sample: Sample) -> Mask | None:
    """Return the union of an image's masks, bool H×W of the image's size; white (above 127 of 255) is lesion.

    Images labelled normal have black masks, and the result is None.

    Raises:
        DatasetError: masks of one image differ in size.
    """
    masks = [read(path) for path in busi.masks_of(sample)]
    shapes = {mask.pixels.shape[:2] for mask in masks}
    if len(shapes) != 1:
        raise DatasetError(
            f"{sample.name}: found masks of sizes {sorted(shapes)}, expected one size. Unpack the archive again."
        )
    # masks are stored in colour or grey; every channel is the same
    united = np.any([mask.pixels.reshape(*mask.pixels.shape[:2], -1)[..., 0] > 127 for mask in masks], axis=0)
    return np.asarray(united) if united.any() else None


def of_mias(sample: Sample) -> Mask | None:
    """Return the union of the circles around an image's lesions, bool H×W; None without a circle.

    Lesions spread over the whole breast have no circle. For a sample that is a region, the mask is that region's circle
    if its label is lesion.
    """
    if sample.region is not None:
        circles = [sample.region] if sample.label else []
    else:
        found = mias.lesions(sample)
        circles = [Region(*lesion.centre_px, lesion.radius_px or 0) for lesion in found if lesion.centre_px]
    rows, columns = np.mgrid[: mias.SIDE_PX, : mias.SIDE_PX]
    inside = [(columns - c.x) ** 2 + (rows - c.y) ** 2 <= c.radius**2 for c in circles]
    return np.asarray(np.any(inside, axis=0)) if inside else None
