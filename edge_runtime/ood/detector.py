"""How unlike a model's own images an image is: what lies beyond the limit is referred, whatever the network says.

A network answers every image, a screenshot as surely as a patch of tissue: its scores do not say that it never saw
such a thing (Nguyen et al. 2015, CVPR:427). Here a Mahalanobis distance (1936, Proc Nat Inst Sci India 2:49) does, as
Lee et al. 2018 (NeurIPS, arXiv:1807.03888) propose for a network's features; but of plain statistics of the image
as read, which cost a fraction of a millisecond and need no access inside the network.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from edge_runtime.serialisation.records import ABSENT

if TYPE_CHECKING:
    import numpy.typing as npt

    from edge_runtime.images.reader import DecodedImage

STATISTICS = "image-statistics/1"
"""Name and version of :func:`edge_runtime.ood.statistics.statistics`; new when any number changes."""

NAMES = (
    *("red_mean", "red_ratio", "blue_mean", "red_spread", "blue_spread", "colourless"),
    *("level_02", "level_25", "level_50", "level_75", "level_98", "black"),
    *("change_1", "change_2", "roughness_1", "roughness_2", "roughness_4", "direction"),
    *("blobs_2", "blobs_4", "blobs_16", "top", "centre", "grain", "centre_roughness_4", "same"),
)
"""What :data:`STATISTICS` counts, in its order."""


@dataclass(frozen=True)
class WholeImage:
    """That a model of regions is for regions *of such images*: the image is judged as read, before the cut.

    A square inside a mammogram has no border and may hold every brightness; the mammogram has a black surround.

    Attributes:
        least_side_px: an image with a shorter side is unfamiliar too. A region is counted in pixels, and in an image
            of a coarser scale they hold less than the model's own.
    """

    least_side_px: int

    def __post_init__(self) -> None:
        if self.least_side_px < 1:
            raise ValueError(f"familiarity: found least_side_px {self.least_side_px}, expected 1 or more.")

    def shortfall(self, image: DecodedImage) -> float:
        """Return how many times too short the shorter side is, above 1; 0 where it is long enough."""
        side = min(image.pixels.shape[:2])
        return self.least_side_px / side if side < self.least_side_px else 0.0


@dataclass(frozen=True)
class Familiarity:
    """Where a model's own images lie, and how far from them an image may be.

    Attributes:
        statistics: name and version of the statistics that ``mean`` and ``whitening`` speak of.
        mean: of the model's own images, one for each statistic.
        whitening: lower triangle, row by row, of W; the distance of statistics x is ‖W (x − mean)‖.
        limit: distance beyond which an image is unfamiliar.
        whole: what is asked of the whole image, which is judged then; None where what the model is shown is judged:
            the image, or the square that is cut around a region.
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
        """Return which of the two is judged: the image as read, or what the model is shown of it."""
        return shown if self.whole is None else whole

    def distance(self, image: DecodedImage) -> float:
        """Return an image's Mahalanobis distance from the model's own, 0 or more.

        Args:
            image: what is :meth:`judged`, before any step of the spec.
        """
        # here: models without familiarity start without it
        from edge_runtime.ood.statistics import statistics

        return float(self.distances(statistics(image)))

    def share(self, image: DecodedImage) -> float:
        """Return the distance over the limit, 0 or more; above 1 the image is unfamiliar.

        For a whole image with too short a side it is how many times too short, where that is more.
        """
        share = self.distance(image) / self.limit
        if self.whole is None:
            return share
        return max(share, self.whole.shortfall(image))

    def distances(self, found: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Return the distance of each row of statistics, float64 …×K to float64 …."""
        import numpy as np

        mean, whitening = self._arrays
        apart = (found - mean) @ whitening.T
        return np.asarray(np.sqrt(np.einsum("...k,...k->...", apart, apart)))

    @cached_property
    def _arrays(self) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
        """Mean, and W as a matrix of float64."""
        import numpy as np

        matrix = np.zeros((len(self.mean), len(self.mean)))
        matrix[np.tril_indices(len(self.mean))] = self.whitening
        return np.array(self.mean), matrix


def is_familiar(share: float | None) -> bool:
    """Tell whether an image of this distance over the limit is answered; None is a model that asks no such thing."""
    return share is None or share <= 1.0
