"""Label-preserving changes of brightness, stain and noise; each class is for one modality."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

Images = npt.NDArray[np.float32]

_STAINS = np.array([[0.65, 0.70, 0.29], [0.07, 0.99, 0.11], [0.27, 0.57, 0.78]], dtype=np.float32)
"""Absorption of haematoxylin, eosin and DAB in R, G, B (Ruifrok & Johnston 2001, Anal Quant Cytol Histol 23:291)."""
_UNMIX = np.linalg.inv(_STAINS).astype(np.float32)


@dataclass(frozen=True)
class StainJitter:
    """Change the stains of an H&E image at random (Tellez et al. 2018, IEEE Trans Med Imaging 37:2126).

    Attributes:
        share: each stain's amount is multiplied by a factor within 1 ± ``share``; up to ``share`` / 10 is added or
            subtracted.
    """

    share: float

    def apply(self, image: Images, rng: np.random.Generator) -> Images:
        """Return the float32 H×W×3 image (RGB, 0..1) with changed stains."""
        density = -np.log((image * 255.0 + 1.0) / 256.0)
        amounts = density @ _UNMIX
        factor = rng.uniform(1.0 - self.share, 1.0 + self.share, 3).astype(np.float32)
        shift = rng.uniform(-self.share / 10.0, self.share / 10.0, 3).astype(np.float32)
        stained = np.exp(-((amounts * factor + shift) @ _STAINS)) * 256.0 - 1.0
        return np.asarray(np.clip(stained / 255.0, 0.0, 1.0), dtype=np.float32)


@dataclass(frozen=True)
class GainAndSpeckle:
    """Change gain and dynamic range of an ultrasound image, and multiply it by speckle noise.

    Source of speckle: Burckhardt 1978, IEEE Trans Sonics Ultrason 25:1.

    Attributes:
        gain: brightness is multiplied by a factor within 1 ± ``gain``.
        gamma: brightness is raised to the power 2**g, with g within ± ``gamma`` (dynamic range).
        speckle: standard deviation of the random factor of each pixel; its mean is 1.
    """

    gain: float
    gamma: float
    speckle: float = 0.0

    def apply(self, image: Images, rng: np.random.Generator) -> Images:
        """Return the float32 H×W×C image (0..1), with the same change in all channels."""
        exponent = np.float32(2.0 ** rng.uniform(-self.gamma, self.gamma))
        factor = np.float32(rng.uniform(1.0 - self.gain, 1.0 + self.gain))
        changed = np.power(image, exponent) * factor
        if self.speckle:
            changed *= 1.0 + self.speckle * rng.standard_normal((*image.shape[:2], 1), dtype=np.float32)
        return np.asarray(np.clip(changed, 0.0, 1.0), dtype=np.float32)


@dataclass(frozen=True)
class Callipers:
    """Draw pairs of crosses joined by a dotted line, like the callipers in stored ultrasound images.

    Real callipers mark measured lesions, so a network could learn them instead of the lesion. Drawn on images of every
    label alike, they carry no information about the label.

    Attributes:
        share: probability (0..1) that an image gets one or two pairs.
    """

    share: float

    def apply(self, image: Images, rng: np.random.Generator) -> Images:
        """Return the float32 H×W×C image (0..1), with callipers drawn in white."""
        if rng.random() >= self.share:
            return image
        drawn = np.array(image, order="C")  # OpenCV cannot draw on views
        sides = np.array(image.shape[1::-1])
        for _ in range(int(rng.integers(1, 3))):
            start = rng.uniform(0.1, 0.9, 2)
            end = np.clip(start + rng.uniform(-0.35, 0.35, 2), 0.03, 0.97)
            self._pair(drawn, start * sides, end * sides)
        return drawn

    @staticmethod
    def _pair(drawn: Images, start: npt.NDArray[np.float64], end: npt.NDArray[np.float64]) -> None:
        white, arm = (1.0,) * drawn.shape[2], max(3, drawn.shape[1] // 28)
        for x, y in (start, end):
            cv2.drawMarker(drawn, (int(x), int(y)), white, cv2.MARKER_CROSS, arm)
        dots = max(2, int(np.hypot(*(end - start)) / 3.0))
        for x, y in np.linspace(start, end, dots):
            drawn[int(y), int(x)] = 1.0


Photometric = StainJitter | GainAndSpeckle | Callipers
