"""Label-preserving changes to training pictures, drawn anew each epoch."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Images = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Augmentation:
    """What may happen to a training picture. Tissue under a microscope has no up, left or right.

    Attributes:
        flips: mirror left to right, with probability .5.
        quarter_turns: turn by 0, 90, 180 or 270°, each as likely; square tensors alone.

    Both move values without changing any. They commute with a symmetric kernel and with a resize that keeps
    the size, so that they may follow the preprocessing: the device's steps stay the only ones.
    """

    flips: bool
    quarter_turns: bool

    def apply(self, image: Images, rng: np.random.Generator) -> Images:
        """Return a view of one tensor, H×W×C, flipped and turned by chance."""
        if self.flips and rng.random() < 0.5:
            image = image[:, ::-1]
        if self.quarter_turns:
            image = np.rot90(image, int(rng.integers(4)))
        return image
