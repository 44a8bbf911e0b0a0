"""The plan of a fit on random crops around lesions, part of a recipe."""

from __future__ import annotations

from dataclasses import dataclass, field

from training.data.crops import Crops
from training.data.ultrasound_appearance import UltrasoundAppearance


@dataclass(frozen=True)
class CropPlan:
    """How the crops of an epoch are drawn.

    Attributes:
        windows: the part of an image that a crop shows.
        epoch: number of crops in an epoch.
        normal: weight of the label ``normal`` within a site, beside 1 for benign and 1 for malignant.
        appearance: changes of the crop's levels.
    """

    windows: Crops
    epoch: int
    normal: float = 0.5
    appearance: UltrasoundAppearance = field(default_factory=UltrasoundAppearance)
