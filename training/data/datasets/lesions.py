"""Lesion masks of published images, for the data sets that mark lesions."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt

from edge_runtime.images.reader import read
from edge_runtime.images.region import Region
from training.data.datasets import breast_us, busbra, busi, mias
from training.data.datasets.dataset import Sample, png_size
from training.errors import DatasetError

Mask = npt.NDArray[np.bool_]
Lesions = Callable[[Sample], Mask | None]
"""Function from a sample to the lesion mask of its *whole* image, bool H×W; None if no lesion is marked."""

Box = tuple[int, int, int, int]
"""Left, top, right and bottom in pixels: the first column and row inside, and the first ones after the box."""


def box(mask: Mask) -> Box | None:
    """Return the smallest box around a mask (bool H×W); None if the mask is empty."""
    columns, rows = np.flatnonzero(mask.any(axis=0)), np.flatnonzero(mask.any(axis=1))
    if not len(columns):
        return None
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


def circle(found: Box) -> Region:
    """Return the region of a box: its centre, and half its longer side as the radius, in pixels."""
    left, top, right, bottom = found
    return Region((left + right - 1) / 2, (top + bottom - 1) / 2, max(right - left, bottom - top) / 2)


def of_busi(sample: Sample) -> Mask | None:
    """Return the union of an image's masks, bool H×W of the image's size; white (above 127 of 255) is lesion.

    Images labelled normal have black masks, and the result is None.

    Raises:
        DatasetError: masks of one image differ in size.
    """
    masks = [_mask(path) for path in busi.masks_of(sample)]
    shapes = {mask.shape for mask in masks}
    if len(shapes) != 1:
        raise DatasetError(
            f"{sample.name}: found masks of sizes {sorted(shapes)}, expected one size. Unpack the archive again."
        )
    united = np.any(masks, axis=0)
    return np.asarray(united) if united.any() else None


def _mask(path: Path) -> Mask:
    """Read a mask; it is stored in colour or grey, and every channel is the same."""
    pixels = read(path).pixels
    return np.asarray(pixels.reshape(*pixels.shape[:2], -1)[..., 0] > 127)


def of_ultrasound(sample: Sample) -> Mask | None:
    """Return the lesion mask of an image of BUSI, BUS-BRA or BrEaST, bool H×W; None if no lesion is marked.

    For the whole image it is the union of its masks. For a region it is the one mask with that region.

    Raises:
        DatasetError: a mask and its image differ in size, or no mask has the region.
    """
    marked = marks_of_ultrasound(sample)
    if sample.region is None:
        return np.asarray(np.any([mask for mask, _ in marked], axis=0)) if marked else None
    for mask, region in marked:
        if region == sample.region:
            return mask
    raise DatasetError(
        f"{sample.name}: found no mask with this region among {len(marked)}. The masks changed: load the set again."
    )


def marks_of_ultrasound(sample: Sample) -> tuple[tuple[Mask, Region], ...]:
    """Return each lesion mask of an image (the sample's region is ignored) with its region; empty masks are left out.

    Raises:
        DatasetError: a mask and its image differ in size.
    """
    found = []
    for path in busbra.masks_of(sample) or breast_us.masks_of(sample) or busi.masks_of(sample):
        mask, size = _mask(path), png_size(sample.path)
        if size is not None and mask.shape != size[::-1]:
            raise DatasetError(
                f"{sample.name}: found a mask of {mask.shape[1]}x{mask.shape[0]} px, expected that of the image, "
                f"{size[0]}x{size[1]} px. Unpack the archive again."
            )
        if (around := box(mask)) is not None:
            found.append((mask, circle(around)))
    return tuple(found)


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
