"""Reader of samples, with the device's own decoding and cropping."""

from __future__ import annotations

from pathlib import Path

from edge_runtime.bundle.spec import ModelSpec
from edge_runtime.errors import RegionError
from edge_runtime.images.reader import DecodedImage, read
from edge_runtime.images.region import RegionCrop, cut
from training.data.datasets.dataset import Sample
from training.errors import DatasetError

TIGHT = RegionCrop(margin=1.0, least_half_px=24.0)
"""Crop rule for regions without a spec: used to compare images and to check for tissue."""


class SampleReader:
    """Reads samples one after another; keeps the last decoded file for further samples that are regions of it."""

    def __init__(self, spec: ModelSpec | None = None) -> None:
        """Create a reader with no file decoded.

        Args:
            spec: spec whose region rule and minimum side apply; without one every size is accepted, and regions are
                cropped by :data:`TIGHT`.
        """
        self._spec = spec
        self._last: tuple[Path, DecodedImage] | None = None

    def read(self, sample: Sample) -> DecodedImage:
        """Return the image of the sample: its whole file, or its region.

        Raises:
            ImageError: the runtime rejects the file or the region.
            DatasetError: the sample is a region and the spec has no rule for regions, or the reverse.
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
        """Return the file's whole image; it is kept only if the sample is a region, because other regions may follow.

        Raises:
            ImageError: the runtime rejects the file.
        """
        if self._last is not None and self._last[0] == sample.path:
            return self._last[1]
        image = read(sample.path, min_side_px=self._spec.min_side_px if self._spec else 1)
        self._last = (sample.path, image) if sample.region else None
        return image
