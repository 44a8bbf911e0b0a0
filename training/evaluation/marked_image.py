"""An image and its region, as the out-of-distribution check is measured on it."""

from __future__ import annotations

from dataclasses import dataclass

from edge_runtime.bundle.spec import ModelSpec
from edge_runtime.images.reader import DecodedImage
from edge_runtime.images.region import Region, cut


@dataclass(frozen=True, eq=False)
class MarkedImage:
    """An image as read, and the region of it to classify; None for a model of whole images."""

    whole: DecodedImage
    region: Region | None = None

    def shown(self, spec: ModelSpec) -> DecodedImage:
        """Return the model's input: the image, or the crop around the region.

        Raises:
            ImageError: the runtime rejects the region.
        """
        return cut(self.whole, self.region, spec.region)
