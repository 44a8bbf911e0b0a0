"""Random label-preserving changes to training images, different in each epoch."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import cv2
import numpy as np
import numpy.typing as npt

from edge_runtime.serialisation.records import ABSENT
from training.data.photometric import Photometric

Images = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Augmentation:
    """Random geometric and photometric changes of a training image.

    Attributes:
        flips: mirror left to right, with probability 0.5.
        quarter_turns: rotate by 0, 90, 180 or 270°, with equal probability; for square tensors only. Microscope
            images of tissue have no preferred orientation.
        rotation_deg: rotate about the centre by up to this many degrees in either direction, with a black border.
        zoom: enlarge or shrink by up to this share.
        shift: move by up to this share of the side, along both axes.
        photometric: changes of values, in this order, after all geometric changes.
        kept: probability that no change after the quarter turns is applied. Images as on the device then contribute
            to the fit and to the averages of batch normalisation.
        black, white: tensor values of the levels 0 and 255.
        scale: enlarge by a factor from this range, drawn on a logarithmic scale; None keeps the scale. Both bounds
            are above 0; 1.25 shows 1/1.25 of the side.
        reflected: fill the border with the reflected image instead of black; None is black.

    The first two changes move values without changing them. They commute with a symmetric kernel and with a resize
    that keeps the size. All changes act on the preprocessed tensor, so the device's preprocessing stays the same.
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
    scale: tuple[float, float] | None = field(default=None, metadata=ABSENT)
    reflected: bool | None = field(default=None, metadata=ABSENT)

    def __post_init__(self) -> None:
        if self.scale is not None and not 0.0 < self.scale[0] <= self.scale[1]:
            raise ValueError(f"augmentation: found scale {self.scale}, expected two factors above 0, rising.")

    def apply(self, image: Images, rng: np.random.Generator) -> Images:
        """Return one tensor, float32 H×W×C, changed at random; a view of it where values only move."""
        if self.flips and rng.random() < 0.5:
            image = image[:, ::-1]
        if self.quarter_turns:
            image = np.rot90(image, int(rng.integers(4)))
        if self.kept and rng.random() < self.kept:
            return image
        if self.rotation_deg or self.zoom or self.shift or self.scale:
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
        factor = 1 + rng.uniform(-self.zoom, self.zoom)
        if self.scale:
            factor *= math.exp(rng.uniform(math.log(self.scale[0]), math.log(self.scale[1])))
        matrix = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), angle, factor)
        if self.shift:
            matrix[0, 2] += rng.uniform(-self.shift, self.shift) * width
            matrix[1, 2] += rng.uniform(-self.shift, self.shift) * height
        border = cv2.BORDER_REFLECT_101 if self.reflected else cv2.BORDER_CONSTANT
        warped: Images = np.asarray(
            cv2.warpAffine(
                np.ascontiguousarray(image),
                matrix,
                (width, height),
                borderMode=border,
                borderValue=(self.black,) * 4,
            ),
            np.float32,
        )
        return warped.reshape(image.shape)
