"""Augmentation: label-preserving random changes to training images, drawn again in each epoch."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from training.data.photometric import Photometric

Images = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Augmentation:
    """Settings of the random changes. Tissue under a microscope has no preferred orientation.

    Attributes:
        flips: mirror left to right, with probability .5.
        quarter_turns: turn by 0, 90, 180 or 270°, each as likely; square tensors alone.
        rotation_deg: turn by up to so many degrees either way, about the centre; black comes in at the border.
        zoom: enlarge or shrink by up to this share.
        shift: move by up to this share of the side, both ways.
        photometric: changes of values, in this order, after all others.
        kept: probability that nothing after the quarter turns happens: images as a device sees them belong among
            those that are fitted on, and into BatchNorm's averages.
        black, white: what the levels 0 and 255 are in the tensor.

    The first two move values without changing any, and commute with a symmetric kernel and with a resize that
    keeps the size. All act on the prepared tensor, so that the device's steps stay the only ones.
    """

    flips: bool
    quarter_turns: bool
    rotation_deg: float = 0.0
    zoom: float = 0.0
    shift: float = 0.0
    photometric: tuple[Photometric, ...] = ()
    kept: float = 0.0
    black: float = 0.0
    white: float = 1.0

    def apply(self, image: Images, rng: np.random.Generator) -> Images:
        """Return one tensor, H×W×C, changed at random; a view if values are only moved."""
        if self.flips and rng.random() < 0.5:
            image = image[:, ::-1]
        if self.quarter_turns:
            image = np.rot90(image, int(rng.integers(4)))
        if self.kept and rng.random() < self.kept:
            return image
        if self.rotation_deg or self.zoom or self.shift:
            image = self._warp(image, rng)
        return self._recolour(image, rng) if self.photometric else image

    def _recolour(self, image: Images, rng: np.random.Generator) -> Images:
        span, black = np.float32(self.white - self.black), np.float32(self.black)
        levels = (image - black) / span
        for change in self.photometric:
            levels = change.apply(levels, rng)
        return levels * span + black

    def _warp(self, image: Images, rng: np.random.Generator) -> Images:
        height, width = image.shape[:2]
        angle = rng.uniform(-self.rotation_deg, self.rotation_deg)
        matrix = cv2.getRotationMatrix2D(
            ((width - 1) / 2, (height - 1) / 2), angle, 1 + rng.uniform(-self.zoom, self.zoom)
        )
        if self.shift:
            matrix[0, 2] += rng.uniform(-self.shift, self.shift) * width
            matrix[1, 2] += rng.uniform(-self.shift, self.shift) * height
        warped: Images = np.asarray(
            cv2.warpAffine(np.ascontiguousarray(image), matrix, (width, height), borderValue=(self.black,) * 4),
            np.float32,
        )
        return warped.reshape(image.shape)
