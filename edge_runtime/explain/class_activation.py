"""Compute heatmaps in NumPy from a feature map of the float32 graph: Grad-CAM, Eigen-CAM, or the network's attention.

The graph returns its last feature map A (h×w×C) beside the logits, and the values of the dense layers that end in a
ReLU. Grad-CAM is ``relu(sum_c a_c A_c)``, where ``a_c`` is the mean gradient of one logit over channel c (Selvaraju
et al. 2017, ICCV 618). For a head of dense layers, the gradient is a product of small matrices, which the bundle
contains (``saliency.npz``). Units whose ReLU returned 0 contribute 0. The device needs no differentiation, and the
numbers equal TensorFlow's.

If the head is of another kind, the method is Eigen-CAM: the projection of the feature map onto its first right singular
vector (Muhammad & Yeasin 2020, IJCNN). It shows the strongest pattern in the features, whatever the label.

A network that weights its evidence by a map of its own (Ilse, Tomczak & Welling 2018, ICML, arXiv:1802.04712) needs
neither: its weights, one for each position, are the heatmap. The graph returns their logits.
"""

from __future__ import annotations

import io
import zipfile
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from edge_runtime.bundle.policy import Head
from edge_runtime.errors import ManifestError
from edge_runtime.serialisation.npz import read_arrays

Floats = npt.NDArray[np.float32]

FILE = "saliency.npz"
"""The file of a bundle that contains the head's matrices."""


def grad_cam(
    features: Floats, hidden: tuple[Floats, ...], weights: tuple[Floats, ...], label: int, head: Head
) -> Floats:
    """Return the Grad-CAM of one image.

    Args:
        features: the feature map, h×w×C.
        hidden: values of each hidden layer, (units,); the gradient passes through units above 0.
        weights: the matrices in ``saliency.npz``: C×units, units×units, …, units×outputs.
        label: index of the label to explain.
        head: the model's head.

    Returns:
        float32 h×w, 0 or more, on the scale of logits.
    """
    single = head is Head.SIGMOID  # one logit: that of the second label; the first label has its negative
    slope: npt.NDArray[np.float64] = weights[-1][:, 0 if single else label].astype(np.float64)
    for matrix, values in zip(reversed(weights[:-1]), reversed(hidden), strict=True):
        slope = np.asarray(matrix @ np.where(values > 0, slope, 0.0), dtype=np.float64)
    if single and label == 0:
        slope = -slope
    return np.maximum(features.astype(np.float64) @ slope, 0.0).astype(np.float32)


def eigen_cam(features: Floats) -> Floats:
    """Return the Eigen-CAM of one image, float32 h×w, 0 or more; ``features`` are h×w×C.

    The singular vector is computed from the smaller of the two Gram matrices. Its sign is arbitrary; the sign with the
    larger sum is used.
    """
    rows = features.reshape(-1, features.shape[-1]).astype(np.float64)
    places, channels = rows.shape
    if channels <= places:
        projection = rows @ np.linalg.eigh(rows.T @ rows)[1][:, -1]
    else:
        values, vectors = np.linalg.eigh(rows @ rows.T)
        projection = vectors[:, -1] * np.sqrt(max(values[-1], 0.0))
    projection = projection if projection.sum() >= 0 else -projection
    return np.asarray(np.maximum(projection, 0.0).reshape(features.shape[:2]), dtype=np.float32)


def attention(features: Floats) -> Floats:
    """Return the weight of each position: the softmax over all positions of ``features``, h×w×1; float32 h×w, sum 1."""
    logits = features[..., 0].astype(np.float64)
    found = np.exp(logits - logits.max())
    return np.asarray(found / found.sum(), dtype=np.float32)


def to_npz(weights: tuple[Floats, ...]) -> bytes:
    """Return ``saliency.npz``: ``weights_0``, ``weights_1``, …, float32. Equal numbers give equal bytes."""
    stream = io.BytesIO()
    np.savez(stream, **{f"weights_{i}": matrix for i, matrix in enumerate(weights)})  # type: ignore[arg-type]  # as in golden.vectors
    return stream.getvalue()


def from_npz(data: bytes, where: str) -> tuple[Floats, ...]:
    """Return the matrices in the bytes of ``saliency.npz``; ``where`` names the file in errors.

    Raises:
        ManifestError: it contains no matrices, or their shapes do not match.
    """
    try:
        stored = read_arrays(data)
        weights = tuple(np.asarray(stored[f"weights_{i}"], dtype=np.float32) for i in range(len(stored)))
    except (ValueError, TypeError, LookupError, AttributeError, OSError, EOFError, zipfile.BadZipFile) as error:
        raise ManifestError(
            f"{where}: found no matrices in it ({error}), expected weights_0, …. Export the model again."
        ) from None
    fits = [a.ndim == b.ndim == 2 and a.shape[1] == b.shape[0] for a, b in pairwise(weights)]
    if not weights or not all(fits) or weights[0].ndim != 2:
        raise ManifestError(
            f"{where}: found matrices of {[matrix.shape for matrix in weights]}, expected the rows of each to match "
            "the columns of the one before. Export the model again."
        )
    return weights
