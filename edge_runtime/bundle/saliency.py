"""The heatmap fields of a manifest; :mod:`edge_runtime.explain.class_activation` computes the heatmaps."""

from __future__ import annotations

import enum
from dataclasses import dataclass


class Method(enum.Enum):
    """The heatmap method of a model."""

    GRAD_CAM = "grad-cam"
    EIGEN_CAM = "eigen-cam"
    NONE = "none"  # no heatmaps; the manifest gives the reason


@dataclass(frozen=True)
class Saliency:
    """The heatmap fields of a manifest.

    Attributes:
        method: the heatmap method.
        why: the reason for a method other than Grad-CAM; empty for Grad-CAM.
        layer: name of the layer whose feature map is used.
        grid: height, width and channels of this feature map.
    """

    method: Method
    why: str = ""
    layer: str = ""
    grid: tuple[int, ...] = ()
