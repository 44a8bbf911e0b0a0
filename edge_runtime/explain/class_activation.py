"""Where in an image an answer comes from: Grad-CAM from the float32 graph's last feature map, in NumPy.

The graph hands out its last feature map A (h×w×C) beside the logits, and the values of those dense layers that end in
a ReLU. Grad-CAM is ``relu(sum_c a_c A_c)``, where ``a_c`` is the mean gradient of one logit over channel c (Selvaraju
et al. 2017, ICCV 618). For a head of dense layers that is a product of small matrices, which the bundle carries
(``saliency.npz``), with a 0 for each unit that its ReLU silenced: no differentiation on the device, and TensorFlow's
own numbers.

Where no such head can be carried the map is Eigen-CAM: the feature map's projection onto its first right
singular vector (Muhammad & Yeasin 2020, IJCNN). It shows what the network sees most of, whatever the label.
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
"""The file of a bundle that holds the head's matrices."""


def grad_cam(
    features: Floats, hidden: tuple[Floats, ...], weights: tuple[Floats, ...], label: int, head: Head
) -> Floats:
    """Return the Grad-CAM of one image.

    Args:
        features: h×w×C.
        hidden: values of each hidden layer, (units,); of those above 0 the gradient passes.
        weights: as ``saliency.npz`` holds them: C×units, units×units, …, units×outputs.
        label: index of the label that the map is for.

    Returns:
        float32 h×w, 0 or more, on the scale of logits.
    """
    single = head is Head.SIGMOID  # one logit, the second label's; the first label's is its opposite
    slope: npt.NDArray[np.float64] = weights[-1][:, 0 if single else label].astype(np.float64)
    for matrix, values in zip(reversed(weights[:-1]), reversed(hidden), strict=True):
        slope = np.asarray(matrix @ np.where(values > 0, slope, 0.0), dtype=np.float64)
    if single and label == 0:
        slope = -slope
    return np.maximum(features.astype(np.float64) @ slope, 0.0).astype(np.float32)


def eigen_cam(features: Floats) -> Floats:
    """Return the Eigen-CAM of one image, float32 h×w, 0 or more; ``features`` are h×w×C.

    The vector is found in the smaller of the two Gram matrices. A singular vector has no sign of its own: the one that
    leaves more above 0 is taken.
    """
    rows = features.reshape(-1, features.shape[-1]).astype(np.float64)
    places, channels = rows.shape
    if channels <= places:
        seen = rows @ np.linalg.eigh(rows.T @ rows)[1][:, -1]
    else:
        values, vectors = np.linalg.eigh(rows @ rows.T)
        seen = vectors[:, -1] * np.sqrt(max(values[-1], 0.0))
    seen = seen if seen.sum() >= 0 else -seen
    return np.asarray(np.maximum(seen, 0.0).reshape(features.shape[:2]), dtype=np.float32)


def to_npz(weights: tuple[Floats, ...]) -> bytes:
    """Return ``saliency.npz``: ``weights_0``, ``weights_1``, …, float32; the same bytes for the same numbers."""
    stream = io.BytesIO()
    np.savez(stream, **{f"weights_{i}": matrix for i, matrix in enumerate(weights)})  # type: ignore[arg-type]  # as in golden.vectors
    return stream.getvalue()


def from_npz(data: bytes, where: str) -> tuple[Floats, ...]:
    """Read ``saliency.npz``.

    Raises:
        ManifestError: it does not hold matrices that fit each other; ``where`` names the file.
    """
    try:
        stored = read_arrays(data)
        weights = tuple(np.asarray(stored[f"weights_{i}"], dtype=np.float32) for i in range(len(stored)))
    except (ValueError, TypeError, LookupError, AttributeError, OSError, EOFError, zipfile.BadZipFile) as error:
        raise ManifestError(
            f"{where}: found no matrices in it ({error}), expected weights_0, …. Export again."
        ) from None
    fits = [a.ndim == b.ndim == 2 and a.shape[1] == b.shape[0] for a, b in pairwise(weights)]
    if not weights or not all(fits) or weights[0].ndim != 2:
        raise ManifestError(
            f"{where}: found matrices of {[matrix.shape for matrix in weights]}, expected each to take what the one "
            "before gives. Export the model again."
        )
    return weights
