"""Label-preserving changes to training pictures, drawn anew each epoch."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

Images = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Augmentation:
    """What may happen to a training picture. Tissue under a microscope has no up, left or right.

    Attributes:
        flips: mirror left to right, with probability .5.
        quarter_turns: turn by 0, 90, 180 or 270°, each as likely; square tensors alone.
        rotation_deg: turn by up to so many degrees either way, about the centre; zeros come in at the border.
        zoom: enlarge or shrink by up to this share.

    The first two move values without changing any, and commute with a symmetric kernel and with a resize that
    keeps the size. All act on the prepared tensor, so that the device's steps stay the only ones.
    """

    flips: bool
    quarter_turns: bool
    rotation_deg: float = 0.0
    zoom: float = 0.0

    def apply(self, image: Images, rng: np.random.Generator) -> Images:
        """Return a view of one tensor, H×W×C, flipped and turned by chance."""
        if self.flips and rng.random() < 0.5:
            image = image[:, ::-1]
        if self.quarter_turns:
            image = np.rot90(image, int(rng.integers(4)))
        if self.rotation_deg or self.zoom:
            image = self._warp(image, rng)
        return image

    def _warp(self, image: Images, rng: np.random.Generator) -> Images:
        height, width = image.shape[:2]
        angle = rng.uniform(-self.rotation_deg, self.rotation_deg)
        matrix = cv2.getRotationMatrix2D(
            ((width - 1) / 2, (height - 1) / 2), angle, 1 + rng.uniform(-self.zoom, self.zoom)
        )
        warped: Images = np.asarray(cv2.warpAffine(np.ascontiguousarray(image), matrix, (width, height)), np.float32)
        return warped.reshape(image.shape)
