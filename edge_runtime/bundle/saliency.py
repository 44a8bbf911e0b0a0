"""What a manifest says of a model's heatmaps; :mod:`edge_runtime.explain.class_activation` makes them."""

from __future__ import annotations

import enum
from dataclasses import dataclass


class Method(enum.Enum):
    """How a model's heatmaps are made."""

    GRAD_CAM = "grad-cam"
    EIGEN_CAM = "eigen-cam"
    NONE = "none"  # the bundle says why


@dataclass(frozen=True)
class Saliency:
    """What a manifest says of a model's heatmaps.

    Attributes:
        why: the reason for a method that is not Grad-CAM; empty for Grad-CAM.
        layer: name of the layer whose feature map is shown, and ``grid`` its height, width and channels.
    """

    method: Method
    why: str = ""
    layer: str = ""
    grid: tuple[int, ...] = ()
