"""Random changes that make an ultrasound image look like one of another scanner, operator or archive.

All changes keep the geometry. Gain, dynamic range, depth gain, smoothing and speckle differ between scanners and their
settings; callipers and captions are burnt in by operators. Speckle: Burckhardt 1978, IEEE Trans Sonics Ultrason 25:1.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import cv2
import numpy as np
import numpy.typing as npt

from training.data.photometric import Callipers

Levels = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]

_LEVELS = np.arange(256, dtype=np.float32)
_NOISE_SIDE_PX = 1024
_CAPTIONS = ("LT BREAST", "RT 2:00", "A 1.25cm", "+ Dist", "RAD", "5 CM FN")
_DARK = 0.25
"""Level (0..1) that a change of contrast keeps."""


@dataclass(frozen=True)
class UltrasoundAppearance:
    """Random changes of one image; the shares and sizes were chosen once and not tuned.

    Attributes:
        callipers: share of images with callipers drawn in.
        caption: share of images with a caption drawn in.
    """

    callipers: float = 0.3
    caption: float = 0.15

    def apply(self, image: Levels, other: npt.NDArray[np.float64], rng: np.random.Generator) -> Levels:
        """Return the changed image, uint8 H×W.

        Args:
            image: grey levels, uint8 H×W; 0 outside the scan.
            other: shares of pixels at or below each level of another image (float64 256), whose levels may be taken on.
            rng: source of all random numbers.
        """
        inside = image > 0
        table = self._levels(image, other, rng)
        if rng.random() < 0.12:
            image = np.asarray(cv2.createCLAHE(float(rng.uniform(1, 4)), (4, 4)).apply(image), np.uint8)
        changed = _speckled(_sharpness(_depth_gain(table[image], rng), rng), rng)
        changed = Callipers(self.callipers).apply(changed[..., np.newaxis], rng)[..., 0]
        if rng.random() < 0.5:
            changed = np.where(inside, changed, np.float32(0))
        drawn = np.asarray(np.clip(changed * 255 + 0.5, 0, 255), np.uint8)
        if rng.random() < self.caption:
            _draw_caption(drawn, rng)
        return drawn

    @staticmethod
    def _levels(image: Levels, other: npt.NDArray[np.float64], rng: np.random.Generator) -> Floats:
        """Return the new level (0..1) of each level: another image's histogram, gamma, gain and contrast."""
        table = _LEVELS
        if rng.random() < 0.25:
            below = np.bincount(image.ravel(), minlength=256).cumsum() / image.size
            matched = np.minimum(np.searchsorted(other, below), 255).astype(np.float32)
            share = np.float32(rng.uniform(0.3, 1.0))
            table = (1 - share) * table + share * matched
        bent = np.power(table / 255, 2 ** rng.uniform(-0.6, 0.6)) * rng.uniform(0.7, 1.3)
        return np.clip((bent - _DARK) * rng.uniform(0.75, 1.25) + _DARK, 0, 1).astype(np.float32)


def _depth_gain(image: Floats, rng: np.random.Generator) -> Floats:
    if rng.random() >= 0.4:
        return image
    slope = np.linspace(-1, 1, len(image), dtype=np.float32) * np.float32(rng.uniform(-0.5, 0.5))
    return image * (1 + slope[:, np.newaxis])


def _sharpness(image: Floats, rng: np.random.Generator) -> Floats:
    chance = rng.random()
    if chance < 0.25:
        return np.asarray(cv2.GaussianBlur(image, (0, 0), float(rng.uniform(0.4, 1.4))), np.float32)
    if chance < 0.45:
        smooth = np.asarray(cv2.GaussianBlur(image, (0, 0), 1.0), np.float32)
        return image + np.float32(rng.uniform(0.3, 1.2)) * (image - smooth)
    return image


def _speckled(image: Floats, rng: np.random.Generator) -> Floats:
    if rng.random() >= 0.5:
        return image
    height, width = image.shape
    top, left = rng.integers(0, _NOISE_SIDE_PX - height), rng.integers(0, _NOISE_SIDE_PX - width)
    noise = _noise()[top : top + height, left : left + width]
    if rng.random() < 0.5:
        noise = np.asarray(cv2.GaussianBlur(noise, (0, 0), float(rng.uniform(0.5, 1.2))), np.float32)
        noise = noise / (noise.std() + np.float32(1e-6))
    return image * (1 + np.float32(rng.uniform(0.02, 0.2)) * noise)


@cache
def _noise() -> Floats:
    return np.random.default_rng(0).standard_normal((_NOISE_SIDE_PX, _NOISE_SIDE_PX), dtype=np.float32)


def _draw_caption(image: Levels, rng: np.random.Generator) -> None:
    """Draw a caption in place."""
    text = _CAPTIONS[int(rng.integers(len(_CAPTIONS)))]
    place = int(rng.integers(0, max(1, image.shape[1] - 50))), int(rng.integers(min(10, len(image) - 1), len(image)))
    size, level = float(rng.uniform(0.25, 0.4)), int(rng.integers(150, 256))
    cv2.putText(image, text, place, cv2.FONT_HERSHEY_SIMPLEX, size, level, 1)
