"""Images with lesion masks at their own resolution, held in memory for random crops around the lesions.

Images and masks are reduced to a longest side of :data:`SIDE_PX` and kept with all further halvings, so that a crop at
any scale is sampled without aliasing.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from edge_runtime.images.colour import ColourOrder
from edge_runtime.images.reader import read
from edge_runtime.preprocessing.kernels import recolour
from training.data.datasets.dataset import Sample
from training.data.datasets.lesions import box, marks_of_ultrasound

Levels = npt.NDArray[np.uint8]
Affine = npt.NDArray[np.float64]
"""2×3 matrix from pixels of the largest level to pixels of the crop."""

SIDE_PX = 320
"""Longest side of the images in memory. A crop is at most 192 px wide and rarely narrower than half the image."""

SMALLEST_PX = 200
"""Images are halved until their longest side is at most this."""


@dataclass(frozen=True, eq=False)
class Pyramid:
    """An image and its halvings by area averaging, uint8 H×W each, largest first."""

    levels: tuple[Levels, ...]

    @classmethod
    def of(cls, image: Levels) -> Pyramid:
        """Return the pyramid of ``image``, uint8 H×W."""
        levels = [image]
        while max(levels[-1].shape) > SMALLEST_PX:
            height, width = levels[-1].shape
            half = max(1, width // 2), max(1, height // 2)
            levels.append(np.asarray(cv2.resize(levels[-1], half, interpolation=cv2.INTER_AREA), np.uint8))
        return cls(tuple(levels))

    def crop(self, matrix: Affine, side_px: int) -> Levels:
        """Return a bilinear crop, uint8 side×side, 0 outside the image; a level is chosen that is at most halved."""
        scale = float(np.sqrt(abs(np.linalg.det(matrix[:, :2]))))
        chosen = 0
        while chosen + 1 < len(self.levels) and scale < 0.6:
            scale *= 2
            chosen += 1
        level = self.levels[chosen]
        ratio = np.array([self.levels[0].shape[1] / level.shape[1], self.levels[0].shape[0] / level.shape[0]])
        own = matrix.copy()
        own[:, 2] += matrix[:, :2] @ ((ratio - 1) / 2)  # pixel centres lie at half-integers
        own[:, :2] *= ratio
        return np.asarray(cv2.warpAffine(level, own, (side_px, side_px), flags=cv2.INTER_LINEAR), np.uint8)


@dataclass(frozen=True, eq=False)
class LesionImage:
    """One image with its lesions.

    Attributes:
        image: grey levels.
        lesions: mask of each lesion, 0 or 255 before halving.
        boxes: left, top, right and bottom of each lesion, in pixels of the largest level.
        label: index into the data set's labels.
        suspicion: see :class:`training.data.datasets.dataset.Sample`.
    """

    image: Pyramid
    lesions: tuple[Pyramid, ...]
    boxes: tuple[tuple[float, float, float, float], ...]
    label: int
    suspicion: float | None = None

    @property
    def size(self) -> tuple[int, int]:
        """Height and width in pixels."""
        height, width = self.image.levels[0].shape
        return height, width

    @cached_property
    def whole_mask(self) -> Pyramid | None:
        """The union of all lesions; None without one."""
        if not self.lesions:
            return None
        return Pyramid.of(np.max([lesion.levels[0] for lesion in self.lesions], axis=0))

    @cached_property
    def shares_below(self) -> npt.NDArray[np.float64]:
        """Share of the pixels at or below each grey level, float64 256."""
        found = self.image.levels[0]
        return np.bincount(found.ravel(), minlength=256).cumsum() / found.size


def reduced(image: Levels, masks: Iterable[npt.NDArray[np.bool_]], label: int, suspicion: float | None) -> LesionImage:
    """Return an image with its masks, reduced to a longest side of :data:`SIDE_PX`.

    Args:
        image: grey levels, uint8 H×W.
        masks: bool H×W each.
        label, suspicion: see :class:`LesionImage`.
    """
    height, width = image.shape
    scale = min(1.0, SIDE_PX / max(height, width))
    size = max(1, round(width * scale)), max(1, round(height * scale))
    small = image if scale == 1.0 else np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)
    lesions, boxes = [], []
    for mask in masks:
        found = box(mask)
        if found is None:
            continue
        white = np.where(mask, np.uint8(255), np.uint8(0))
        lesions.append(Pyramid.of(np.asarray(cv2.resize(white, size, interpolation=cv2.INTER_AREA), np.uint8)))
        ratios = (size[0] / width, size[1] / height) * 2
        left, top, right, bottom = (side * ratio for side, ratio in zip(found, ratios, strict=True))
        boxes.append((left, top, right, bottom))
    return LesionImage(Pyramid.of(small), tuple(lesions), tuple(boxes), label, suspicion)


def load_lesion_images(samples: Iterable[Sample]) -> tuple[LesionImage, ...]:
    """Read the images of ``samples`` with their lesion masks; of a region, only the lesion of that region.

    Raises:
        ImageError: the runtime rejects an image.
        DatasetError: a mask and its image differ in size.
    """
    found = []
    for sample in tqdm(samples, desc="reading lesions", unit="image", disable=None, leave=False):
        decoded = read(sample.path, min_side_px=1)
        grey = np.asarray(recolour(decoded.pixels, decoded.order, ColourOrder.GREY), np.uint8)
        marks = marks_of_ultrasound(sample)
        masks = [mask for mask, region in marks if sample.region in (None, region)]
        found.append(reduced(grey, masks, sample.label, sample.suspicion))
    return tuple(found)
