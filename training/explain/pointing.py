"""Measures of how well a heatmap locates a lesion: pointing game, energy, baselines, and correlation of two maps."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]

_BLUR = 1 / 16
"""Standard deviation of the Gaussian blur before the brightest pixel is searched, as a share of the shorter side."""


def hit(shares: Floats, lesion: Mask) -> bool:
    """Return whether the map's maximum lies in the lesion; False for a blank map.

    Of several equal maxima the first in reading order counts.

    Source: pointing game without tolerance (Zhang et al. 2018, Int J Comput Vis 126:1084).
    """
    return bool(shares.any()) and bool(lesion.reshape(-1)[int(shares.argmax())])


def energy(shares: Floats, lesion: Mask) -> float:
    """Return the share (0..1) of the map's sum that lies in the lesion; 0 for a blank map.

    Source: energy-based pointing game (Wang et al. 2020, CVPR Workshops, Score-CAM).
    """
    total = float(shares.sum(dtype=np.float64))
    return float(shares[lesion].sum(dtype=np.float64)) / total if total > 0 else 0.0


def centre(shape: tuple[int, int]) -> Floats:
    """Return a float32 H×W map: 1 in the centre pixel, 0 elsewhere. For an even side it is the later of the two."""
    shares = np.zeros(shape, np.float32)
    shares[shape[0] // 2, shape[1] // 2] = 1.0
    return shares


def brightest(pixels: npt.NDArray[np.uint8]) -> Floats:
    """Return blurred grey values, float32 H×W, 0..1: a baseline map that highlights bright regions."""
    grey = pixels if pixels.ndim == 2 else cv2.cvtColor(pixels, cv2.COLOR_BGR2GRAY)
    sigma = max(1.0, _BLUR * min(grey.shape))
    return np.asarray(cv2.GaussianBlur(grey.astype(np.float32) / 255.0, (0, 0), sigma), dtype=np.float32)


def darkest(pixels: npt.NDArray[np.uint8]) -> Floats:
    """Return 1 minus :func:`brightest`: in ultrasound most lesions are dark."""
    return 1.0 - brightest(pixels)


def likeness(one: Floats, other: Floats) -> float:
    """Return Spearman's rank correlation (-1..1) of two maps of equal shape; nan if either map is constant.

    Adebayo et al. 2018 (NeurIPS, Sanity Checks for Saliency Maps) compare maps in this way.
    """
    first, second = _ranks(one), _ranks(other)
    if first.std() == 0 or second.std() == 0:
        return float("nan")
    return float(np.corrcoef(first, second)[0, 1])


def _ranks(values: Floats) -> npt.NDArray[np.float64]:
    """Return the rank of each value; equal values share their mean rank."""
    _, which, counts = np.unique(values.reshape(-1), return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return np.asarray((last - (counts - 1) / 2)[which])
