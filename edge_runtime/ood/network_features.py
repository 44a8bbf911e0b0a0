"""The out-of-distribution check from an early feature map of the network, also ``familiarity`` in JSON.

The model files return, as a second output, two moments of each channel of one feature map: the mean and the mean of the
squares over all positions. The image's *features* are the C means and the C standard deviations. Their distance from
the training images is a Mahalanobis distance on the principal components of the training images, plus a term for what
the components do not explain (Lee et al. 2018, NeurIPS, arXiv:1807.03888; Kamoi & Kobayashi 2020, arXiv:2003.00402).

A spec may add linear functions of the features (:mod:`edge_runtime.ood.discriminants`), and limits of the image as read
(:mod:`edge_runtime.ood.image_limits`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import field
from functools import cached_property
from math import isfinite, sqrt
from operator import add
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import numpy.typing as npt

from edge_runtime.errors import BackendError
from edge_runtime.ood.discriminants import Discriminants
from edge_runtime.ood.image_limits import ImageLimits
from edge_runtime.serialisation.float16 import unpacked
from edge_runtime.serialisation.frozen import dataclass
from edge_runtime.serialisation.records import ABSENT

if TYPE_CHECKING:
    from edge_runtime.images.reader import DecodedImage

FEATURES = "network-features/1"
"""Name and version of the features and their distance; the version changes when any number changes."""

MOST_COMPONENTS = 40
"""Largest number of principal components."""


@dataclass(frozen=True)
class NetworkFamiliarity:
    """Parameters of the check, fitted on the features of the model's training images.

    For C channels, K components and the features x of an image: a = (x − mean) / scale, z = P a, r = a − Pᵀ z, and the
    Mahalanobis distance is √(Σ (z_k / deviations_k)² + ‖r‖² / residual²). With discriminants, the distance is at least
    their largest value times the limit.

    Attributes:
        statistics: name and version, :data:`FEATURES`.
        layer: name of the network's layer that outputs the feature map.
        mean: mean of each feature over the training images, 2C: those of the channels' means, then of their standard
            deviations.
        scale: scale of each feature, 2C: about its standard deviation over the training images.
        components: P, K×2C (:mod:`edge_runtime.serialisation.float16`).
        deviations: standard deviation of the training images along each component, K.
        residual: root mean square of ‖r‖ over the training images.
        limit: distance above which an image is out-of-distribution.
        discriminants: linear functions of a that notice altered images; None for none.
        image: limits of the image as read; None for none.
    """

    CHOSEN_BY: ClassVar[tuple[str, str]] = ("statistics", FEATURES)

    statistics: str
    layer: str
    mean: tuple[float, ...]
    scale: tuple[float, ...]
    components: str
    deviations: tuple[float, ...]
    residual: float
    limit: float
    discriminants: Discriminants | None = field(default=None, metadata=ABSENT)
    image: ImageLimits | None = field(default=None, metadata=ABSENT)

    def __post_init__(self) -> None:
        if self.statistics != FEATURES:
            raise ValueError(f"familiarity: found statistics {self.statistics!r}, expected {FEATURES!r}.")
        if not self.layer:
            raise ValueError("familiarity: found no layer, expected the name of a layer of the network.")
        count, components = len(self.mean), len(self.deviations)
        odd = count < 2 or count % 2
        if odd or len(self.scale) != count or not 1 <= components <= MOST_COMPONENTS:
            raise ValueError(
                f"familiarity: found {count} means, {len(self.scale)} scales and {components} deviations, expected two "
                f"means and two scales for each channel, and 1..{MOST_COMPONENTS} deviations."
            )
        for name, values in (("scale", self.scale), ("deviations", self.deviations), ("residual", (self.residual,))):
            if not min(values) > 0:
                raise ValueError(f"familiarity: found {name} {min(values)}, expected numbers above 0.")
        if not (self.limit > 0 and isfinite(self.limit)):
            raise ValueError(f"familiarity: found limit {self.limit}, expected a finite number above 0.")
        self._functions  # noqa: B018 - refuses matrices of another size when a spec is read

    @property
    def channels(self) -> int:
        """Number of channels of the feature map, C."""
        return len(self.mean) // 2

    def image_share(self, whole: DecodedImage, shown: DecodedImage) -> float | None:
        """Return :meth:`ImageLimits.excess` of ``whole``, the image as read; None without such limits.

        The network's input, ``shown``, is compared when the network ran.
        """
        return None if self.image is None else self.image.excess(whole)

    def image_shares(self, images: Sequence[DecodedImage]) -> list[float | None]:
        """Return :meth:`image_share` of images that are also the model's input."""
        return [self.image_share(image, image) for image in images]

    def share(self, moments: npt.NDArray[Any] | None) -> float:
        """Return the distance of one image divided by the limit; above 1, it is out-of-distribution.

        Args:
            moments: the second output of a model file for the image, float32 (2C,), as in :meth:`distances_of`.

        Raises:
            BackendError: as in :meth:`distances_of`.
        """
        return self._length(self.scaled(features(self._present(moments)))) / self.limit

    def shares(self, moments: npt.NDArray[Any] | None) -> npt.NDArray[Any]:
        """Return :meth:`share` of N images, float64 N, with the same bits.

        Args:
            moments: as in :meth:`distances_of`.

        Raises:
            BackendError: as in :meth:`distances_of`.
        """
        return np.asarray(self.distances_of(moments) / self.limit)

    def distances_of(self, moments: npt.NDArray[Any] | None) -> npt.NDArray[Any]:
        """Return each image's distance, float64 N.

        The sums over one image's features never depend on the other images, so neither does the last bit.

        Args:
            moments: the second output of a model file, float32 N×2C: means, then means of squares; None if the file
                has no such output.

        Raises:
            BackendError: the output is missing, has another size, or contains NaN or infinity.
        """
        return self.distances(features(self._present(moments)))

    def distances(self, found: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Return the distance of each row of features: float64 (…, 2C) to float64 (…).

        Raises:
            BackendError: a feature is NaN or infinity.
        """
        rows = self.scaled(found)
        each = [self._length(row) for row in rows.reshape(-1, rows.shape[-1])]
        return np.array(each).reshape(rows.shape[:-1])

    def scaled(self, found: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Return a = (x − mean) / scale of features x, float64 (…, 2C)."""
        mean, scale = self._standard
        scaled: npt.NDArray[Any] = found - mean
        scaled /= scale
        return scaled

    def _present(self, moments: npt.NDArray[Any] | None) -> npt.NDArray[Any]:
        """Return ``moments``; raise if they are missing or of another size."""
        if moments is None or moments.shape[-1] != len(self.mean):
            found = "no output" if moments is None else f"an output of {moments.shape[-1]} numbers"
            raise BackendError(
                f"found {found} for the out-of-distribution check, expected {len(self.mean)} numbers. "
                "Export the model again."
            )
        return moments

    def _length(self, scaled: npt.NDArray[Any]) -> float:
        """Return the distance of one image, from a = (x − mean) / scale, float64 (2C,).

        ‖a − Pᵀ z‖² = a·a − 2 z·z + zᵀ P Pᵀ z. So the square of the Mahalanobis distance is a·a / residual² + zᵀ Q z,
        with Q = diag(1 / deviations²) + (P Pᵀ − 2 I) / residual².
        """
        rows, form, offsets = self._functions
        values = rows.dot(scaled)  # starts in half the time of the operator @
        along = values[: len(form)]
        square = float(scaled.dot(scaled)) / self.residual**2 + float(along.dot(form.dot(along)))
        if not isfinite(square):
            raise BackendError(
                "found NaN or infinity in the output for the out-of-distribution check, expected finite numbers. "
                "Export the model again."
            )
        distance = sqrt(max(square, 0.0))  # rounding may leave less than 0 of two equal terms
        if not offsets:
            return distance
        largest: float = max(map(add, values[len(form) :].tolist(), offsets))
        return max(distance, self.limit * largest)

    @cached_property
    def _standard(self) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
        """Mean and scale, float64 (2C,)."""
        return np.array(self.mean), np.array(self.scale)

    @cached_property
    def _functions(self) -> tuple[npt.NDArray[Any], npt.NDArray[Any], tuple[float, ...]]:
        """P, above the discriminants' weights, float64 (K + M, 2C); Q, (K, K); the discriminants' offsets, M."""
        count, size = len(self.mean), len(self.deviations)
        components = unpacked(self.components, size, count, "familiarity components")
        form = np.diag(1.0 / np.array(self.deviations) ** 2)
        squares = np.einsum("ik,jk->ij", components, components)  # a product would start threads, which take 30 ms
        form += (squares - 2.0 * np.eye(size)) / self.residual**2
        if self.discriminants is None:
            return components, form, ()
        rows = np.concatenate([components, self.discriminants.matrix(count)])
        return rows, form, self.discriminants.offsets


def features(moments: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return means and standard deviations, float64 (…, 2C), from means and means of squares, (…, 2C)."""
    found: npt.NDArray[Any] = moments.astype(np.float64)
    channels = found.shape[-1] // 2
    mean, square = found[..., :channels], found[..., channels:]
    square -= mean * mean
    np.maximum(square, _ZERO, out=square)
    np.sqrt(square, out=square)
    return found


_ZERO = np.zeros(())
"""Zero as an array, which NumPy need not convert."""
