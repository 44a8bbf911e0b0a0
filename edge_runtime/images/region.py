"""Marked regions of an image, and the square crop around a region that is the input of a region model.

The crop copies pixels exactly, without resampling, rotation or blending. Pixels outside the image are zero. Training,
calibration, parity and the device all use :func:`cut`, so a region gives the same pixels everywhere.
"""

from __future__ import annotations

import enum
import math
import re
from collections.abc import Iterator
from dataclasses import field
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from edge_runtime.errors import ImageRegionError, RegionError
from edge_runtime.serialisation.frozen import dataclass
from edge_runtime.serialisation.records import ABSENT

if TYPE_CHECKING:
    from edge_runtime.images.reader import DecodedImage

LEAST_PX = 8
"""Smallest side of the part of a crop that lies inside the image. Less is not enough for a network to classify."""

MOST_PX = 8000
"""Largest side of a crop: 64 million pixels, the limit for whole images (``formats.MAX_PIXELS``)."""

Pixels = npt.NDArray[np.uint8 | np.uint16]

_NUMBER = r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?"
_TEXT = rf"(?a:\s*({_NUMBER})\s*,\s*({_NUMBER})\s*,\s*({_NUMBER})\s*)"  # compiled when first used
_EXPECTED = "expected x,y,radius: three numbers of pixels, such as 535,598,197"


@dataclass(frozen=True)
class Region:
    """A circle around the finding to classify, in pixels of the image as decoded.

    Attributes:
        x: x of the centre, from the left; pixel centres lie at whole numbers, the first at 0.
        y: y of the centre, from the top, likewise.
        radius: radius in pixels, above 0.
    """

    x: float
    y: float
    radius: float

    def __post_init__(self) -> None:
        """Raises: RegionError: ``region_invalid``, if a number is not finite or the radius is not above 0."""
        x, y, radius = given = (self.x, self.y, self.radius)
        if not (_finite(x) and _finite(y) and _finite(radius) and radius > 0):
            raise RegionError(f"region {given}: {_EXPECTED}, all finite and the radius above 0. Correct it.")
        # -0.0 becomes 0.0: equal regions have one name
        self.__dict__.update(x=float(x) + 0.0, y=float(y) + 0.0, radius=float(radius))

    def __str__(self) -> str:
        """Return ``x,y,radius``; :meth:`parse` converts it back to the same region."""
        return ",".join(_shortest(value) for value in (self.x, self.y, self.radius))

    @classmethod
    def of(cls, given: Region | tuple[float, float, float]) -> Region:
        """Return ``given`` itself if it is a region; convert a tuple ``(x, y, radius)``.

        Raises:
            RegionError: ``region_invalid``.
        """
        if isinstance(given, Region):
            return given
        if not (isinstance(given, tuple | list) and len(given) == 3):
            raise RegionError(f"region {given!r}: {_EXPECTED}. Correct it.")
        return cls(*given)

    @classmethod
    def parse(cls, text: str) -> Region:
        """Parse a region written as ``x,y,radius``.

        Raises:
            RegionError: ``region_invalid``.
        """
        found = re.fullmatch(_TEXT, text)
        if found is None:
            raise RegionError(f"region {text!r}: {_EXPECTED}. Correct it.")
        return cls(*map(float, found.groups()))

    def to_dict(self) -> dict[str, float]:
        """Return the JSON form; see docs/reference/json.md."""
        return {"x": self.x, "y": self.y, "radius": self.radius}


@dataclass(frozen=True, eq=False)
class Marked:
    """An image, of any kind that :meth:`Predictor.predict` takes, and its region; for :meth:`Predictor.predict_all`."""

    image: Any
    region: Region


def unmarked(item: Any) -> tuple[Any, Region | None]:
    """Return the image and the region to classify; the region is None for a whole image."""
    return (item.image, item.region) if isinstance(item, Marked) else (item, None)


class Outside(enum.Enum):
    """The values of a crop outside the image."""

    ZERO = "zero"


@dataclass(frozen=True)
class RegionCrop:
    """The size of the crop around a region: a square, centred on the circle.

    Attributes:
        margin: half the square's side as a multiple of the radius; above 0.
        least_half_px: smallest half side in pixels, for small circles; 0 or more.
        outside: the values outside the image.
        least_range: smallest range of values (:func:`spread_of`) in the image's part of the square, 1 or more, in the
            image's levels. A region with less certainly shows no tissue, such as film beside the breast. None if no
            region is refused for that.
    """

    margin: float
    least_half_px: float
    outside: Outside = Outside.ZERO
    least_range: int | None = field(default=None, metadata=ABSENT)

    def __post_init__(self) -> None:
        if not (0 < self.margin <= 1e6 and 0 <= self.least_half_px <= MOST_PX / 2):
            raise ValueError(f"{self}: expected a margin above 0 and least_half_px of 0..{MOST_PX // 2}. Correct it.")
        if self.least_range is not None and not 1 <= self.least_range <= 65535:
            raise ValueError(f"{self}: expected a least_range of 1..65535. Correct it.")

    def half_px(self, region: Region) -> float:
        """Return half the side of the square in pixels: ``max(margin * radius, least_half_px)``, float64."""
        return max(self.margin * region.radius, self.least_half_px)

    def square(self, region: Region) -> tuple[int, int, int]:
        """Return x and y of the square's upper left pixel, which may be negative, and its side in pixels.

        ``x - half``, ``y - half`` and ``2 * half`` are computed in float64 and rounded to whole numbers, ties to even
        (IEEE 754 roundTiesToEven, Python's ``round``).
        """
        half = self.half_px(region)
        return round(region.x - half), round(region.y - half), round(2 * half)


def cut(image: DecodedImage, region: Region | None, rule: RegionCrop | None) -> DecodedImage:
    """Return the part of ``image`` to classify: the crop around the region, or the whole image if ``rule`` is None.

    Raises:
        RegionError: see :func:`check_asked`.
        ImageRegionError: see :func:`crop`.
    """
    check_asked(region, rule)
    return image if region is None or rule is None else crop(image, region, rule)


def check_asked(region: Region | None, rule: RegionCrop | None) -> None:
    """Check that a region is given exactly if the model requires one.

    Raises:
        RegionError: ``region_missing``, if a region model gets no region; ``region_unexpected``, if a model of whole
            images gets one.
    """
    if (region is None) is not (rule is None):
        raise region_error(region)


def region_error(region: Region | None) -> RegionError:
    """Return the error for a missing region (None) or an unexpected region."""
    if region is None:
        return RegionError(
            "found no region, expected one: this model classifies a marked region of an image. "
            "Give its centre and radius in pixels: --region X,Y,RADIUS, or region=(x, y, radius).",
            code="region_missing",
        )
    return RegionError(
        f"found region {region}, expected none: this model classifies whole images. "
        "Leave the region out, or use a model that requires regions.",
        code="region_unexpected",
    )


def crop(image: DecodedImage, region: Region, rule: RegionCrop) -> DecodedImage:
    """Return the square around ``region``, with zeros outside the image.

    Returns:
        A copy, n×n or n×n×3, with the image's dtype and order and the name ``<image>@<region>``.

    Raises:
        ImageRegionError: ``image_region_outside``, if the centre is outside the image; ``image_region_too_small``, if
            less than 8 px of its width or height lie in the image; ``image_region_too_large``, if the side is over
            8000 px; ``image_region_blank``, if the rule has a smallest range and the image's part has less.
    """
    height, width = image.pixels.shape[:2]
    if not (0 <= region.x <= width - 1 and 0 <= region.y <= height - 1):
        expected = f"a centre in the image, x in 0..{width - 1} and y in 0..{height - 1}"
        raise _error(
            *("image_region_outside", region_name(image.name, region), "a centre outside the image"),
            f"{expected} (y from the top). Correct it.",
        )
    name = region_name(image.name, region)
    if not 2 * rule.half_px(region) <= MOST_PX:
        found = f"a square of {2 * rule.half_px(region):g} px a side"
        raise _error("image_region_too_large", name, found, f"at most {MOST_PX} px. Mark less of the image.")
    x, y, side = rule.square(region)
    left, top, right, bottom = max(x, 0), max(y, 0), min(x + side, width), min(y + side, height)
    if min(right - left, bottom - top) < LEAST_PX:
        found = f"{max(right - left, 0)}x{max(bottom - top, 0)} px of the image around the region"
        raise _error("image_region_too_small", name, found, f"{LEAST_PX} or more, both ways. Mark the whole finding.")
    pixels = inside = image.pixels[top:bottom, left:right].copy()
    if inside.shape[:2] != (side, side):
        pixels = np.zeros((side, side, *inside.shape[2:]), inside.dtype)
        pixels[top - y : bottom - y, left - x : right - x] = inside
    if rule.least_range is not None:  # of the copy, which is in the processor's cache
        _check_not_blank(name, inside, rule.least_range)
    return image.part(name, pixels)


def _check_not_blank(name: str, inside: Pixels, least: int) -> None:
    """Raise ``image_region_blank`` if the image's part of a square has a range under ``least`` levels."""
    left_out = _left_out(inside)
    # Some rows without as many values at each end have at most the range of all rows, and usually enough.
    if any(spread >= least for rows in (inside[::_SOME], inside) for spread in _spreads(rows, left_out)):
        return
    same = f"nearly the same value everywhere around the region (a range of {spread_of(inside)} levels)"
    expected = f"tissue, with a range of {least} or more. Mark a finding in the breast."
    raise _error("image_region_blank", name, same, expected)


_SOME = LEAST_PX
"""Every how many rows are compared first; there is always one."""


def spread_of(pixels: Pixels) -> int:
    """Return the range of the middle 98 % of the values, in levels; the largest of all channels.

    With n values of a channel in increasing order, it is value n - 1 - k minus value k, counted from 0, where k is
    n / 100 rounded down. So dust and scratches on under a hundredth of the pixels do not count. All of it is whole
    numbers, so it is equal on every processor.

    Args:
        pixels: H×W or H×W×C, uint8 or uint16, at least one pixel.
    """
    return max(_spreads(pixels, _left_out(pixels)))


def _left_out(pixels: Pixels) -> int:
    """Return how many of a channel's values are left out at each end."""
    height, width = pixels.shape[:2]
    return int(height * width // 100)


def _spreads(pixels: Pixels, left_out: int) -> Iterator[int]:
    """Yield the range of each channel, from the number of pixels at or below each level, without sorting."""
    height, width = pixels.shape[:2]
    channels = pixels.reshape(height, width, -1)
    for channel in range(channels.shape[2]):
        at_or_below = _histogram(channels, channel).cumsum()
        low, high = at_or_below.searchsorted((left_out, height * width - 1 - left_out), side="right").tolist()
        yield int(high - low)


def _histogram(channels: Pixels, channel: int) -> npt.NDArray[Any]:
    """Return the number of pixels of each level of a channel of H×W×C pixels."""
    if channels.dtype != np.uint8 or channels.shape[0] * channels.shape[1] > _MOST_COUNTED:
        return np.bincount(channels[..., channel].ravel())
    import cv2  # imported here: a spec needs no OpenCV

    return cv2.calcHist([channels], [channel], None, [256], [0, 256]).ravel()


_MOST_COUNTED = 1 << 24
"""Largest number of pixels that OpenCV's histograms count exactly: they are float32."""


def _error(code: str, name: str, found: str, expected: str) -> ImageRegionError:
    return ImageRegionError(f"{name}: found {found}, expected {expected}", code=code)


def region_name(name: str, region: Region | None) -> str:
    """Return the name of a region in lists and messages: ``mdb001.pgm@535,598,197``, or ``name`` if it is None."""
    return name if region is None else f"{name}@{region}"


def split_name(name: str) -> tuple[str, Region | None]:
    """Split a name from :func:`region_name` into file name and region; the region is None for a whole image.

    The text after the last ``@`` is a region only in the exact form that :func:`region_name` writes. No image file has
    such a name, as it would end with a file extension.
    """
    file, _, text = name.rpartition("@")
    if not file or re.fullmatch(_TEXT, text) is None:
        return name, None
    try:
        region = Region.parse(text)
    except RegionError:
        return name, None
    return (file, region) if str(region) == text else (name, None)


def _finite(value: object) -> bool:
    return isinstance(value, (float, int, np.number)) and math.isfinite(value)  # a union takes longer


def _shortest(value: float) -> str:
    """Return the shortest decimal number equal to ``value``; whole numbers without a decimal point."""
    return repr(value).removesuffix(".0")
