"""Selection of a network's heatmap method, and TensorFlow's heatmaps.

The method is the network's own attention, else Grad-CAM, else Eigen-CAM, else none.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from edge_runtime.bundle.policy import Head
from edge_runtime.bundle.saliency import Method, Saliency
from training.explain.head import HeadError, find_head, last_map
from training.explain.oracle import attention, eigen_cam, grad_cam
from training.networks.lesion_attention import ATTENTION, HEAT_MAP

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class HeatmapModel:
    """Heatmap method of a network, and the symbolic Keras tensors that it uses.

    Attributes:
        features: the feature map that the heatmap is computed from; None where there is none.
        hidden: outputs of the head's dense layers that end in a ReLU; used by Grad-CAM only.
        weights: float32, the head's matrices (:class:`~training.explain.head.KerasHead`); used by Grad-CAM only.
    """

    saliency: Saliency
    features: Any | None = None
    hidden: tuple[Any, ...] = ()
    weights: tuple[Floats, ...] = ()


def choose(network: Any) -> HeatmapModel:
    """Return the heatmap method for a network that ends in logits (Keras, functional, channels last)."""
    names = {layer.name for layer in network.layers}
    if {ATTENTION, HEAT_MAP} <= names:
        logits = network.get_layer(HEAT_MAP).output
        return HeatmapModel(_described(Method.ATTENTION, "", logits), logits)
    try:
        head = find_head(network)
    except HeadError as error:
        features = last_map(network)
        if features is None:
            return HeatmapModel(Saliency(Method.NONE, f"{error}, and no layer gives a feature map"))
        return HeatmapModel(_described(Method.EIGEN_CAM, str(error), features), features)
    matrices = tuple(matrix.astype(np.float32) for matrix in head.weights)
    return HeatmapModel(_described(Method.GRAD_CAM, "", head.features), head.features, head.hidden, matrices)


def draw(found: HeatmapModel, network: Any, tensors: Floats, labels: npt.NDArray[np.int64], head: Head) -> Floats:
    """Return TensorFlow's heatmaps of ``network``, float32 N×h×w.

    Args:
        found: the result of :func:`choose` for this network.
        tensors: float32 N×H×W×C.
        labels: int64 N, the label that each map explains; only Grad-CAM uses it.

    Raises:
        ValueError: the network has no heatmap method.
    """
    if found.saliency.method is Method.NONE:
        raise ValueError(f"no heatmap: {found.saliency.why}")
    if found.saliency.method is Method.EIGEN_CAM:
        return eigen_cam(network, found.features, tensors)
    if found.saliency.method is Method.ATTENTION:
        return attention(network, found.saliency.grid, tensors)
    return grad_cam(network, found.features, tensors, labels, head)


def moved(found: HeatmapModel, copy: Any) -> HeatmapModel:
    """Return ``found`` for a copy of the network with other weights, with the feature layer of the same name."""
    return replace(found, features=copy.get_layer(found.saliency.layer).output)


def _described(method: Method, why: str, features: Any) -> Saliency:
    grid = tuple(int(side) for side in features.shape[1:])
    return Saliency(method, why, str(features._keras_history.operation.name), grid)
