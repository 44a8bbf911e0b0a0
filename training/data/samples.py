"""Samples, read and cropped as on the device."""

from __future__ import annotations

from pathlib import Path

from edge_runtime.bundle.spec import ModelSpec
from edge_runtime.errors import RegionError
from edge_runtime.images.reader import DecodedImage, read
from edge_runtime.images.region import RegionCrop, cut
from training.data.datasets.dataset import Sample
from training.errors import DatasetError

TIGHT = RegionCrop(margin=1.0, least_half_px=24.0)
"""The square around a region where no spec says how it is cut: to compare images, to see whether tissue is there."""


class SampleReader:
    """Reads samples one after another; the last file stays decoded, for samples that are regions of it."""

    def __init__(self, spec: ModelSpec | None = None) -> None:
        """Read nothing yet.

        Args:
            spec: whose rule cuts regions and whose shortest side holds; without one every image is taken, and regions
                are cut :data:`TIGHT`.
        """
        self._spec = spec
        self._last: tuple[Path, DecodedImage] | None = None

    def read(self, sample: Sample) -> DecodedImage:
        """Return the sample's pixels: of its whole file, or of its region.

        Raises:
            ImageError: the runtime refuses the file or the region.
            DatasetError: the sample is a region and the spec has no rule for regions, or the other way round.
        """
        tight = TIGHT if sample.region else None
        try:
            return cut(self.whole(sample), sample.region, self._spec.region if self._spec else tight)
        except RegionError as error:
            found = "a region" if sample.region else "a whole image"
            raise DatasetError(
                f"{sample.name}: {found} of a data set does not fit the spec's region rule: {error.message} "
                "Correct the recipe: its spec's region, or its data set."
            ) from None

    def whole(self, sample: Sample) -> DecodedImage:
        """Return the file's image. It is kept only for samples that are regions, because several share one file.

        Raises:
            ImageError: the runtime refuses the file.
        """
        if self._last is not None and self._last[0] == sample.path:
            return self._last[1]
        image = read(sample.path, min_side_px=self._spec.min_side_px if self._spec else 1)
        self._last = (sample.path, image) if sample.region else None
        return image
