"""The out-of-distribution check, ``familiarity`` in JSON: refer images that differ too much from the training set.

A network returns high scores even for images unlike its training set, such as screenshots (Nguyen et al. 2015,
CVPR:427). The check uses a Mahalanobis distance (1936, Proc Nat Inst Sci India 2:49), as Lee et al. 2018 (NeurIPS,
arXiv:1807.03888) propose for a network's features. Here the distance is computed from simple statistics of the image as
read, which take a fraction of a millisecond and need no access to the network.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from edge_runtime.serialisation.frozen import dataclass
from edge_runtime.serialisation.records import ABSENT

if TYPE_CHECKING:
    import numpy.typing as npt

    from edge_runtime.images.reader import DecodedImage

STATISTICS = "image-statistics/1"
"""Name and version of :func:`edge_runtime.ood.statistics.statistics`; the version changes when any number changes."""

NAMES = (
    *("red_mean", "red_ratio", "blue_mean", "red_spread", "blue_spread", "colourless"),
    *("level_02", "level_25", "level_50", "level_75", "level_98", "black"),
    *("change_1", "change_2", "roughness_1", "roughness_2", "roughness_4", "direction"),
    *("blobs_2", "blobs_4", "blobs_16", "top", "centre", "grain", "centre_roughness_4", "same"),
)
"""Names of the statistics in :data:`STATISTICS`, in order."""


@dataclass(frozen=True)
class WholeImage:
    """Apply the check of a region model to the whole image as read, not to the crop.

    A crop inside a mammogram has no border and may have any brightness, while the whole mammogram has a black
    background.

    Attributes:
        least_side_px: smallest side in pixels; a smaller image is out-of-distribution too. Regions are measured in
            pixels, which cover more tissue in an image of coarser scale.
    """

    least_side_px: int

    def __post_init__(self) -> None:
        if self.least_side_px < 1:
            raise ValueError(f"familiarity: found least_side_px {self.least_side_px}, expected 1 or more.")

    def shortfall(self, image: DecodedImage) -> float:
        """Return ``least_side_px`` divided by the image's shorter side if that is above 1, else 0."""
        side = min(image.pixels.shape[:2])
        return self.least_side_px / side if side < self.least_side_px else 0.0


@dataclass(frozen=True)
class Familiarity:
    """Parameters of the out-of-distribution check, fitted on the model's training images.

    Attributes:
        statistics: name and version of the statistics to which ``mean`` and ``whitening`` apply.
        mean: mean of each statistic over the training images.
        whitening: lower triangle of the matrix W, row by row; the distance of statistics x is ‖W (x − mean)‖.
        limit: distance above which an image is out-of-distribution.
        whole: settings if the whole image is checked; None if the model's input is checked: the image, or the crop
            around a region.
    """

    statistics: str
    mean: tuple[float, ...]
    whitening: tuple[float, ...]
    limit: float
    whole: WholeImage | None = field(default=None, metadata=ABSENT)

    def __post_init__(self) -> None:
        if self.statistics != STATISTICS:
            raise ValueError(
                f"familiarity: found statistics {self.statistics!r}, expected {STATISTICS!r}. Update edge-predict if "
                "a newer release fitted this model, or fit again with: python -m training decide --familiar"
            )
        count = len(NAMES)
        if (len(self.mean), len(self.whitening)) != (count, count * (count + 1) // 2):
            raise ValueError(
                f"familiarity: found {len(self.mean)} means and {len(self.whitening)} numbers of whitening, expected "
                f"{count} and {count * (count + 1) // 2}."
            )
        if not (self.limit > 0 and math.isfinite(self.limit)):
            raise ValueError(f"familiarity: found limit {self.limit}, expected a finite number above 0.")

    def judged(self, whole: DecodedImage, shown: DecodedImage) -> DecodedImage:
        """Return the image to check: ``whole``, the image as read, or ``shown``, the model's input."""
        return shown if self.whole is None else whole

    def image_share(self, whole: DecodedImage, shown: DecodedImage) -> float:
        """Return :meth:`share` of the image to check, as in :meth:`judged`."""
        return self.share(self.judged(whole, shown))

    def distance(self, image: DecodedImage) -> float:
        """Return the image's Mahalanobis distance from the training images, 0 or more.

        Args:
            image: the image returned by :meth:`judged`, before any step of the spec.
        """
        # imported here: models without this check start faster
        from edge_runtime.ood.statistics import statistics

        return float(self.distances(statistics(image)))

    def share(self, image: DecodedImage) -> float:
        """Return the distance divided by the limit, 0 or more; above 1, the image is out-of-distribution.

        For a whole image, it is at least :meth:`WholeImage.shortfall`.
        """
        share = self.distance(image) / self.limit
        if self.whole is None:
            return share
        return max(share, self.whole.shortfall(image))

    def image_shares(self, images: Sequence[DecodedImage]) -> list[float]:
        """Return :meth:`share` of each image that is the model's input, with the same bits. At least one image."""
        from edge_runtime.ood.stacked_statistics import statistics_of_all  # imported here, as in distance

        return [float(self.distances(row)) / self.limit for row in statistics_of_all(images)]

    def distances(self, found: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Return the distance of each row of statistics: float64 (…, K) to float64 (…)."""
        import numpy as np

        mean, whitening = self._arrays
        apart = (found - mean) @ whitening.T
        return np.asarray(np.sqrt(np.einsum("...k,...k->...", apart, apart)))

    @cached_property
    def _arrays(self) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
        """The mean, float64 (K,), and the matrix W, float64 (K, K)."""
        import numpy as np

        matrix = np.zeros((len(self.mean), len(self.mean)))
        matrix[np.tril_indices(len(self.mean))] = self.whitening
        return np.array(self.mean), matrix


def is_near_limit(share: float | None, band: float) -> bool:
    """Return whether the float32 file decides if an image is out-of-distribution.

    Args:
        share: as in :func:`is_familiar`, from the first model file.
        band: largest distance from 1; 0 if the float32 file never decides.
    """
    return share is not None and band > 0 and abs(share - 1.0) <= band


def is_familiar(share: float | None) -> bool:
    """Return whether an image passes the check.

    Args:
        share: the result of :meth:`Familiarity.share`; None for a model without the check.
    """
    return share is None or share <= 1.0
