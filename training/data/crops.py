"""Random crops of ultrasound images around their lesions, for networks that find the lesion themselves.

A network that is fitted on whole images of a few hundred patients learns the sites' image formats. Crops around the
lesion at any scale show the same lesion in many formats, and the lesion's mask says where to look.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from training.data.lesion_images import Affine, LesionImage, Levels, Pyramid

Heat = npt.NDArray[np.float32]

ROTATION_DEG = 12.0
STRETCH = 0.18
"""Largest logarithm of the ratio of width to height by which a crop is stretched."""


@dataclass(frozen=True)
class Window:
    """A square of an image: centre and side in pixels, and the lesion that it was drawn for (None for none)."""

    x: float
    y: float
    side: float
    lesion: int | None = None

    def matrix(self, side_px: int, angle_deg: float = 0.0, stretch: float = 1.0, *, mirrored: bool = False) -> Affine:
        """Return the map from the image's pixels to those of a crop of ``side_px``, float64 2×3."""
        turn, scale = np.deg2rad(angle_deg), side_px / self.side
        across, down = scale * np.sqrt(stretch) * (-1 if mirrored else 1), scale / np.sqrt(stretch)
        rotation = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
        linear = np.diag([across, down]) @ rotation
        offset = np.full(2, (side_px - 1) / 2) - linear @ np.array([self.x, self.y])
        return np.hstack([linear, offset[:, np.newaxis]])


@dataclass(frozen=True)
class WholeAndLesions:
    """Windows for a classifier of whole images: the whole image, or any scale between a lesion and the image.

    Attributes:
        whole: share of windows that show the whole image, moved and scaled by a few per cent.
    """

    whole: float

    def draw(self, image: LesionImage, rng: np.random.Generator) -> Window:
        """Return a random window. An image without a lesion is cut anywhere, at a scale of 0.4 to 1.1."""
        height, width = image.size
        longest = float(max(height, width))
        middle = (width - 1) / 2, (height - 1) / 2
        if rng.random() < self.whole:
            x, y = (at + rng.uniform(-0.06, 0.06) * longest for at in middle)
            return Window(x, y, longest * float(np.exp(rng.uniform(-0.1, 0.15))))
        if not image.boxes:
            side = longest * float(np.exp(rng.uniform(np.log(0.4), np.log(1.1))))
            return Window(_anywhere(width, side, rng), _anywhere(height, side, rng), side)
        chosen = int(rng.integers(len(image.boxes)))
        left, top, right, bottom = image.boxes[chosen]
        least = 1.3 * max(right - left, bottom - top, 8.0)
        side = float(np.exp(rng.uniform(np.log(least), np.log(max(1.1 * longest, 1.05 * least)))))
        return Window(_around(left, right, width, side, rng), _around(top, bottom, height, side, rng), side, chosen)


@dataclass(frozen=True)
class MarkedLesion:
    """Windows for a classifier of marked lesions, as the device cuts them, moved and scaled at random.

    Attributes:
        margin: half the side as a multiple of the circle's radius, as in the spec's region rule.
    """

    margin: float

    def draw(self, image: LesionImage, rng: np.random.Generator) -> Window:
        """Return a random window around one lesion."""
        chosen = int(rng.integers(len(image.boxes)))
        left, top, right, bottom = image.boxes[chosen]
        radius = max(right - left, bottom - top) / 2
        x, y = ((a + b - 1) / 2 + rng.uniform(-0.24, 0.24) * radius for a, b in ((left, right), (top, bottom)))
        side = 2 * max(self.margin * radius, 12.0) * float(np.exp(rng.uniform(-0.25, 0.3)))
        return Window(x, y, side, chosen)


Crops = WholeAndLesions | MarkedLesion


def cut(
    image: LesionImage, window: Window, side_px: int, grid: int, rng: np.random.Generator, *, one_lesion: bool
) -> tuple[Levels, Heat]:
    """Return the window, turned, stretched and mirrored at random, and the share of lesion in each cell of a grid.

    Returns:
        Grey levels, uint8 side×side, and shares, float32 grid×grid, 0..1.
    """
    stretch = float(np.exp(rng.uniform(-STRETCH, STRETCH)))
    turn = rng.uniform(-ROTATION_DEG, ROTATION_DEG)
    matrix = window.matrix(side_px, turn, stretch, mirrored=bool(rng.random() < 0.5))
    mask: Pyramid | None = image.whole_mask
    if one_lesion and window.lesion is not None:
        mask = image.lesions[window.lesion]
    if mask is None:
        return image.image.crop(matrix, side_px), np.zeros((grid, grid), np.float32)
    shares = cv2.resize(mask.crop(matrix, side_px), (grid, grid), interpolation=cv2.INTER_AREA)
    return image.image.crop(matrix, side_px), np.asarray(shares, np.float32) / np.float32(255)


def _anywhere(length: int, side: float, rng: np.random.Generator) -> float:
    low, high = min(side / 2, length / 2), max(length - side / 2, length / 2)
    return float(rng.uniform(low, high))


def _around(start: float, end: float, length: int, side: float, rng: np.random.Generator) -> float:
    """Return a centre for which the window contains start..end and leaves the image by at most a tenth of its side."""
    low = max(end - side / 2, min(0.4 * side, length / 2))
    high = min(start + side / 2, max(length - 0.4 * side, length / 2))
    return float(rng.uniform(min(low, high), max(low, high)))
