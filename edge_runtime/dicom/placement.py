"""Where the pixels of an image lie in the stored pixels of its DICOM object."""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np
import numpy.typing as npt

from edge_runtime.images.region import Region

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Placement:
    """A rectangle of stored pixels, and the size of the image that was made of it.

    Positions are pixel centres: the centre of the upper left pixel is (0, 0), in both images.

    Attributes:
        left: column of the rectangle's first stored pixel, from 0.
        top: row of the rectangle's first stored pixel, from 0.
        width: width of the rectangle in stored pixels.
        height: height of the rectangle in stored pixels.
        image_width: width of the image in its own pixels; differs from ``width`` if the image was resampled.
        image_height: height of the image in its own pixels.
    """

    left: int
    top: int
    width: int
    height: int
    image_width: int
    image_height: int

    @property
    def scale(self) -> tuple[float, float]:
        """Stored pixels per pixel of the image, along x and y."""
        return self.width / self.image_width, self.height / self.image_height

    def to_image(self, region: Region) -> Region:
        """Return a region of the stored pixels in pixels of the image."""
        x, y = self.scale
        return Region(
            (region.x + 0.5 - self.left) / x - 0.5,
            (region.y + 0.5 - self.top) / y - 0.5,
            region.radius / ((x + y) / 2),
        )

    def to_stored(self, x: float, y: float) -> tuple[float, float]:
        """Return a position in the image in stored pixels."""
        across, down = self.scale
        return (x + 0.5) * across - 0.5 + self.left, (y + 0.5) * down - 0.5 + self.top

    def on_stored(self, values: Floats, rows: int, columns: int) -> Floats:
        """Return a map of the image on the stored pixels.

        Args:
            values: float32, image_height×image_width; NaN where there is no value.
            rows: height of the stored pixels.
            columns: width of the stored pixels.

        Returns:
            float32 rows×columns; NaN outside the rectangle and where ``values`` is NaN.
        """
        whole = np.full((rows, columns), np.nan, np.float32)
        place = whole[self.top : self.top + self.height, self.left : self.left + self.width]
        size = self.width, self.height
        if size == (self.image_width, self.image_height):
            place[:] = values
            return whole
        known = cv2.resize((~np.isnan(values)).astype(np.uint8), size, interpolation=cv2.INTER_NEAREST).astype(bool)
        spread = np.asarray(cv2.resize(np.nan_to_num(values), size, interpolation=cv2.INTER_LINEAR), dtype=np.float32)
        np.copyto(place, spread, where=known)
        return whole

    def reduced(self, factor: int) -> Placement:
        """Return the placement in stored pixels that are ``factor`` times as wide and high."""
        if factor == 1:
            return self
        width, height = max(self.width // factor, 1), max(self.height // factor, 1)
        return replace(self, left=self.left // factor, top=self.top // factor, width=width, height=height)
