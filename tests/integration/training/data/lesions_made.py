"""Drawn images with lesions, for tests of crops: smooth noise with dark boxes and their masks."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from training.data.lesion_images import LesionImage, reduced

Box = tuple[int, int, int, int]


def smooth(height: int, width: int, seed: int = 0) -> npt.NDArray[np.uint8]:
    """Smooth noise without black, uint8: neighbours differ by a few levels."""
    noise = cv2.GaussianBlur(np.random.default_rng(seed).normal(0, 1, (height, width)), (0, 0), 4)
    return np.clip(128 + 400 * noise, 1, 255).astype(np.uint8)


def boxed(height: int, width: int, box: Box) -> npt.NDArray[np.bool_]:
    """A mask: True from left and top to before right and bottom."""
    mask = np.zeros((height, width), np.bool_)
    left, top, right, bottom = box
    mask[top:bottom, left:right] = True
    return mask


def made(
    height: int, width: int, *boxes: Box, label: int = 0, seed: int = 0, suspicion: float | None = None
) -> LesionImage:
    """An image with a lesion at each box."""
    masks = [boxed(height, width, box) for box in boxes]
    return reduced(smooth(height, width, seed), masks, label, suspicion)
