"""The out-of-distribution check from an early feature map of the network, also ``familiarity`` in JSON.

The model files return, as a second output, two moments of each channel of one feature map: the mean and the mean of the
squares over all positions. The image's *features* are the C means and the C standard deviations. Their distance from
the training images is a Mahalanobis distance on the principal components of the training images, plus a term for what
the components do not explain (Lee et al. 2018, NeurIPS, arXiv:1807.03888; Kamoi & Kobayashi 2020, arXiv:2003.00402).

A spec may add statistics of the input's levels to the features (:mod:`edge_runtime.ood.input_statistics`), and limits
of the image as read (:mod:`edge_runtime.ood.image_limits`).
"""

from __future__ import annotations

import base64
import binascii
import enum
from collections.abc import Sequence
from dataclasses import field
from functools import cached_property
from math import isfinite, sqrt
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import numpy.typing as npt

from edge_runtime.errors import BackendError
from edge_runtime.ood.image_limits import ImageLimits
from edge_runtime.serialisation.frozen import dataclass
from edge_runtime.serialisation.records import ABSENT

if TYPE_CHECKING:
    from edge_runtime.images.reader import DecodedImage
    from edge_runtime.ood.input_statistics import InputStatistics

FEATURES = "network-features/1"
"""Name and version of the features and their distance; the version changes when any number changes."""

MOST_COMPONENTS = 40
"""Largest number of principal components."""


class InputStatistic(enum.Enum):
    """A statistic of uint8 levels H×W×C. c0, c1 and c2 are the three channels, in the order of the network's input.

    ``CHROMA``: E / (E + 16), where E = mean (c0 − c1)² + mean (c2 − c1)²; 0 for a grey image.
    ``TINT``: (mean c0 − mean c1) / (271 − mean of all levels). A stain absorbs light in proportion to its amount, so
    the ratio hardly depends on the amount.
    ``SPREAD``: standard deviation of c2 − c1, divided by 255.
    ``EQUAL``: root of the mean of two shares of equal levels: with the next pixel in row order, and with the pixel
    below, both in the same channel. The last pixel of a row is followed by the first of the next row.
    """

    CHROMA = "chroma"
    TINT = "tint"
    SPREAD = "spread"
    EQUAL = "equal"

    @property
    def needs_colour(self) -> bool:
        """Whether it is defined for three channels only."""
        return self is not InputStatistic.EQUAL


@dataclass(frozen=True)
class NetworkFamiliarity:
    """Parameters of the check, fitted on the features of the model's training images.

    For C channels, S statistics of the input, K components and the features x of an image: a = (x − mean) / scale,
    z = P a, r = a − Pᵀ z, and the distance is √(Σ (z_k / deviations_k)² + ‖r‖² / residual²).

    Attributes:
        statistics: name and version, :data:`FEATURES`.
        layer: name of the network's layer that outputs the feature map.
        mean: mean of each feature over the training images, 2C + S: those of the channels' means, of their standard
            deviations, and of the statistics of the input.
        scale: scale of each feature, 2C + S: about its standard deviation over the training images.
        components: P, K×(2C + S), row by row, as little-endian float16 in base64.
        deviations: standard deviation of the training images along each component, K.
        residual: root mean square of ‖r‖ over the training images.
        limit: distance above which an image is out-of-distribution.
        inputs: statistics of the input that are features, too; None for none.
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
    inputs: tuple[InputStatistic, ...] | None = field(default=None, metadata=ABSENT)
    image: ImageLimits | None = field(default=None, metadata=ABSENT)

    def __post_init__(self) -> None:
        if self.statistics != FEATURES:
            raise ValueError(f"familiarity: found statistics {self.statistics!r}, expected {FEATURES!r}.")
        if not self.layer:
            raise ValueError("familiarity: found no layer, expected the name of a layer of the network.")
        if self.inputs is not None and (not self.inputs or len(set(self.inputs)) != len(self.inputs)):
            raise ValueError("familiarity: found inputs empty or twice the same, expected different ones, or no key.")
        count, components = len(self.mean), len(self.deviations)
        moments = 2 * self.channels
        odd = moments < 2 or moments + len(self.inputs or ()) != count
        if odd or len(self.scale) != count or not 1 <= components <= MOST_COMPONENTS:
            raise ValueError(
                f"familiarity: found {count} means, {len(self.scale)} scales and {components} deviations, expected two "
                "means and two scales for each channel, one for each of inputs, and "
                f"1..{MOST_COMPONENTS} deviations."
            )
        try:
            size = len(base64.b64decode(self.components, validate=True))
        except (binascii.Error, ValueError):
            size = -1
        if size != 2 * components * count:
            raise ValueError(
                f"familiarity: found components of {size} bytes, expected base64 of {components}x{count} float16 "
                f"numbers, which are {2 * components * count} bytes."
            )
        if not np.isfinite(np.frombuffer(base64.b64decode(self.components), "<f2")).all():
            raise ValueError("familiarity: found components that are not finite. Install the bundle again.")
        for name, values in (("scale", self.scale), ("deviations", self.deviations), ("residual", (self.residual,))):
            if not min(values) > 0:
                raise ValueError(f"familiarity: found {name} {min(values)}, expected numbers above 0.")
        if not (self.limit > 0 and isfinite(self.limit)):
            raise ValueError(f"familiarity: found limit {self.limit}, expected a finite number above 0.")

    @cached_property
    def channels(self) -> int:
        """Number of channels of the feature map, C."""
        return (len(self.mean) - len(self.inputs or ())) // 2

    def image_share(self, whole: DecodedImage, shown: DecodedImage) -> float | None:
        """Return :meth:`ImageLimits.excess` of ``whole``, the image as read; None without such limits.

        The network's input, ``shown``, is compared when the network ran.
        """
        return None if self.image is None else self.image.excess(whole)

    def image_shares(self, images: Sequence[DecodedImage]) -> list[float | None]:
        """Return :meth:`image_share` of images that are also the model's input."""
        return [self.image_share(image, image) for image in images]

    def share(self, moments: npt.NDArray[Any] | None, levels: npt.NDArray[Any]) -> float:
        """Return the distance of one image divided by the limit; above 1, it is out-of-distribution.

        Args:
            moments: the second output of a model file for the image, float32 (2C,), as in :meth:`distances_of`.
            levels: the input's levels, uint8 H×W×C; not used without ``inputs``.

        Raises:
            BackendError: as in :meth:`distances_of`.
        """
        return self._distance(self._checked(moments), self._of_input(levels)) / self.limit

    def shares_of(self, moments: npt.NDArray[Any] | None, levels: Sequence[npt.NDArray[Any]]) -> list[float]:
        """Return :meth:`share` of N images, with the same bits.

        Args:
            moments: as in :meth:`distances_of`.
            levels: the levels of each input, as in :meth:`share`.

        Raises:
            BackendError: as in :meth:`distances_of`.
        """
        found: list[float] = self.shares(moments, [self._of_input(each) for each in levels]).tolist()
        return found

    def distances_of(self, moments: npt.NDArray[Any] | None, inputs: Sequence[Sequence[float]]) -> npt.NDArray[Any]:
        """Return each image's distance, float64 N.

        The sums over one image's features never depend on the other images, so neither does the last bit.

        Args:
            moments: the second output of a model file, float32 N×2C: means, then means of squares; None if the file
                has no such output.
            inputs: statistics of the N inputs, S each, from :func:`edge_runtime.ood.input_statistics.of_tensors`.

        Raises:
            BackendError: the output is missing, has another size, or contains NaN or infinity.
        """
        found = self._checked(moments)
        return self.distances(self._features(found, inputs))

    def shares(self, moments: npt.NDArray[Any] | None, inputs: Sequence[Sequence[float]]) -> npt.NDArray[Any]:
        """Return each image's distance divided by the limit, float64 N; above 1, it is out-of-distribution.

        Args:
            moments: as in :meth:`distances_of`.
            inputs: as in :meth:`distances_of`.

        Raises:
            BackendError: as in :meth:`distances_of`.
        """
        return np.asarray(self.distances_of(moments, inputs) / self.limit)

    def _of_input(self, levels: npt.NDArray[Any]) -> Sequence[float]:
        statistics = self._input_statistics
        return () if statistics is None else statistics.of(levels)

    @cached_property
    def _input_statistics(self) -> InputStatistics | None:
        if self.inputs is None:
            return None
        from edge_runtime.ood.input_statistics import InputStatistics  # imported here: most models need none of it

        return InputStatistics(self.inputs)

    def _checked(self, moments: npt.NDArray[Any] | None) -> npt.NDArray[Any]:
        """Return ``moments``; raise if they are missing, of another size, or not finite."""
        if moments is None or moments.shape[-1] != 2 * self.channels:
            found = "no output" if moments is None else f"an output of {moments.shape[-1]} numbers"
            raise BackendError(
                f"found {found} for the out-of-distribution check, expected {2 * self.channels} numbers. "
                "Export the model again."
            )
        # The sum of squares is finite only if all numbers are, and it is computed in a fraction of the time.
        if not isfinite(np.vdot(moments, moments)) and not np.isfinite(moments).all():
            raise BackendError(
                "found NaN or infinity in the output for the out-of-distribution check, expected finite numbers. "
                "Export the model again."
            )
        return moments

    def distances(self, found: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Return the distance of each row of features: float64 (…, 2C + S) to float64 (…)."""
        mean, scale, _, _ = self._arrays
        rows = (found - mean) / scale
        each = [self._length(row) for row in rows.reshape(-1, rows.shape[-1])]
        return np.array(each).reshape(rows.shape[:-1])

    def _distance(self, moments: npt.NDArray[Any], inputs: Sequence[float]) -> float:
        """Return the distance of one image, from its moments, float32 (2C,), and the statistics of its input."""
        mean, scale, _, _ = self._arrays
        found = self._features(moments, inputs)
        found -= mean
        found /= scale
        return self._length(found)

    def _features(
        self, moments: npt.NDArray[Any], inputs: Sequence[float] | Sequence[Sequence[float]]
    ) -> npt.NDArray[Any]:
        """Return :func:`features`, followed by the statistics of the input: float64 (…, 2C + S)."""
        count = moments.shape[-1]
        found = np.empty((*moments.shape[:-1], len(self.mean)))
        found[..., :count], found[..., count:] = moments, inputs
        _to_deviations(found[..., :count])
        return found

    def _length(self, scaled: npt.NDArray[Any]) -> float:
        """Return the distance of one image, from a = (x − mean) / scale, float64 (2C + S,), which is overwritten."""
        _, _, components, deviations = self._arrays
        along = components.dot(scaled)  # starts in half the time of the operator @
        scaled -= along.dot(components)
        along /= deviations
        return sqrt(float(along.dot(along)) + float(scaled.dot(scaled)) / self.residual**2)

    @cached_property
    def _arrays(self) -> tuple[npt.NDArray[Any], npt.NDArray[Any], npt.NDArray[Any], npt.NDArray[Any]]:
        """Mean and scale, float64 (2C + S,); the components, float64 (K, 2C + S); the deviations, float64 (K,)."""
        packed = np.frombuffer(base64.b64decode(self.components), dtype="<f2")
        components = packed.reshape(len(self.deviations), len(self.mean)).astype(np.float64)
        return np.array(self.mean), np.array(self.scale), components, np.array(self.deviations)


def features(moments: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return means and standard deviations, float64 (…, 2C), from means and means of squares, (…, 2C)."""
    found = np.array(moments, dtype=np.float64)
    _to_deviations(found)
    return found


def _to_deviations(found: npt.NDArray[Any]) -> None:
    """Replace means of squares by standard deviations, behind the means: float64 (…, 2C)."""
    channels = found.shape[-1] // 2
    mean, square = found[..., :channels], found[..., channels:]
    square -= mean * mean
    np.maximum(square, _ZERO, out=square)
    np.sqrt(square, out=square)


_ZERO = np.zeros(())
"""Zero as an array, which NumPy need not convert."""


def packed_components(components: npt.NDArray[Any]) -> str:
    """Return components, K×(2C + S), in the form of :attr:`NetworkFamiliarity.components`."""
    return base64.b64encode(np.ascontiguousarray(components, dtype="<f2").tobytes()).decode("ascii")
