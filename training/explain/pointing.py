"""How well a map points at a lesion: pointing game, energy inside, two baselines, and likeness of two maps."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]

_BLUR = 1 / 16
"""Standard deviation of the blur, as a share of the shorter side, before the brightest place is looked for."""


def hit(shares: Floats, lesion: Mask) -> bool:
    """Tell whether the largest value, the first in reading order, lies in the lesion; a blank map never hits.

    Pointing game without tolerance (Zhang et al. 2018, Int J Comput Vis 126:1084).
    """
    return bool(shares.any()) and bool(lesion.reshape(-1)[int(shares.argmax())])


def energy(shares: Floats, lesion: Mask) -> float:
    """Return the share of the map's sum that lies in the lesion, 0..1; 0 for a blank map.

    Energy-based pointing game (Wang et al. 2020, CVPR Workshops, Score-CAM).
    """
    total = float(shares.sum(dtype=np.float64))
    return float(shares[lesion].sum(dtype=np.float64)) / total if total > 0 else 0.0


def centre(shape: tuple[int, int]) -> Floats:
    """Return a map that is 1 in the middle pixel (of an even side the later of two) and 0 elsewhere."""
    shares = np.zeros(shape, np.float32)
    shares[shape[0] // 2, shape[1] // 2] = 1.0
    return shares


def brightest(pixels: npt.NDArray[np.uint8]) -> Floats:
    """Return grey values after a blur, 0..1, H×W: the map of someone who looks for bright regions."""
    grey = pixels if pixels.ndim == 2 else cv2.cvtColor(pixels, cv2.COLOR_BGR2GRAY)
    sigma = max(1.0, _BLUR * min(grey.shape))
    return np.asarray(cv2.GaussianBlur(grey.astype(np.float32) / 255.0, (0, 0), sigma), dtype=np.float32)


def darkest(pixels: npt.NDArray[np.uint8]) -> Floats:
    """Return the opposite of :func:`brightest`: in ultrasound most lesions are dark."""
    return 1.0 - brightest(pixels)


def likeness(one: Floats, other: Floats) -> float:
    """Return Spearman's rank correlation of two maps of one shape, -1..1; nan if either has one value alone.

    Adebayo et al. 2018 (NeurIPS, Sanity Checks for Saliency Maps) compare maps so.
    """
    first, second = _ranks(one), _ranks(other)
    if first.std() == 0 or second.std() == 0:
        return float("nan")
    return float(np.corrcoef(first, second)[0, 1])


def _ranks(values: Floats) -> npt.NDArray[np.float64]:
    """Return the rank of each value; equal values share the mean of theirs."""
    _, which, counts = np.unique(values.reshape(-1), return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return np.asarray((last - (counts - 1) / 2)[which])
