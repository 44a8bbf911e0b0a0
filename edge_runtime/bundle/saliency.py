"""The heatmap fields of a manifest; :mod:`edge_runtime.explain.class_activation` computes the heatmaps."""

from __future__ import annotations

import enum

from edge_runtime.serialisation.frozen import dataclass


class Method(enum.Enum):
    """The heatmap method of a model."""

    GRAD_CAM = "grad-cam"
    EIGEN_CAM = "eigen-cam"
    ATTENTION = "attention"
    NONE = "none"  # no heatmaps; the manifest gives the reason

    @property
    def of_label(self) -> bool:
        """Whether a map explains one label, instead of all alike."""
        return self is Method.GRAD_CAM


@dataclass(frozen=True)
class Saliency:
    """The heatmap fields of a manifest.

    Attributes:
        method: the heatmap method.
        why: the reason for Eigen-CAM or no heatmap; empty for the other methods.
        layer: name of the layer whose feature map is used; for ``attention`` the map of logits, with one channel.
        grid: height, width and channels of this feature map.
    """

    method: Method
    why: str = ""
    layer: str = ""
    grid: tuple[int, ...] = ()
