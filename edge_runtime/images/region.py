"""A marked region of an image, and the square that a model is shown of it.

The square is cut out exactly: no pixel is resampled, turned or blended, and what lies outside the image is zero.
Training, calibration, parity and the device cut with :func:`cut`, so that a region is the same pixels to all of them.
"""

from __future__ import annotations

import enum
import math
import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from edge_runtime.errors import ImageRegionError, RegionError

if TYPE_CHECKING:
    from edge_runtime.images.reader import DecodedImage, Source

LEAST_PX = 8
"""Side of the smallest part of an image that is cut: less shows nothing that a network could judge."""

MOST_PX = 8000
"""Side of the largest square: its 64 million pixels are as many as the largest image's (``formats.MAX_PIXELS``)."""

_NUMBER = r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?"
_TEXT = re.compile(rf"\s*({_NUMBER})\s*,\s*({_NUMBER})\s*,\s*({_NUMBER})\s*", re.ASCII)
_EXPECTED = "expected x,y,radius: three numbers of pixels, such as 535,598,197"


@dataclass(frozen=True)
class Region:
    """A circle around what is asked about, in pixels of the image as decoded.

    Attributes:
        x: of the centre, from the left; pixel centres lie at whole numbers, the first at 0.
        y: of the centre, from the top, likewise.
        radius: above 0.
    """

    x: float
    y: float
    radius: float

    def __post_init__(self) -> None:
        """Raises: RegionError: ``region_invalid``, if a number is not finite or the radius is not above 0."""
        given = (self.x, self.y, self.radius)
        if not (all(map(_finite, given)) and self.radius > 0):
            raise RegionError(f"region {given}: {_EXPECTED}, all finite and the radius above 0. Correct it.")
        for name, value in zip(("x", "y", "radius"), given, strict=True):
            object.__setattr__(self, name, float(value) + 0.0)  # -0.0 becomes 0.0: equal regions have one name

    def __str__(self) -> str:
        """Return ``x,y,radius``, from which :meth:`parse` makes the same region again."""
        return ",".join(_shortest(value) for value in (self.x, self.y, self.radius))

    @classmethod
    def of(cls, given: Region | tuple[float, float, float]) -> Region:
        """Return a region as it is, or made of ``(x, y, radius)``.

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
        """Read ``x,y,radius``.

        Raises:
            RegionError: ``region_invalid``.
        """
        found = _TEXT.fullmatch(text)
        if found is None:
            raise RegionError(f"region {text!r}: {_EXPECTED}. Correct it.")
        return cls(*map(float, found.groups()))

    def to_dict(self) -> dict[str, float]:
        """Return the JSON form (docs/reference/json.md)."""
        return {"x": self.x, "y": self.y, "radius": self.radius}


@dataclass(frozen=True, eq=False)
class Marked:
    """An image and the region of it that is asked about; for :meth:`Predictor.predict_all`."""

    image: Source
    region: Region


def unmarked(item: Source | Marked) -> tuple[Source, Region | None]:
    """Return the image, and the region of it that is asked about; None where the whole is."""
    return (item.image, item.region) if isinstance(item, Marked) else (item, None)


class Outside(enum.Enum):
    """What a cut holds where it reaches over the image's edge."""

    ZERO = "zero"


@dataclass(frozen=True)
class RegionCrop:
    """How much of an image a model is shown around a region: a square, centred on the circle.

    Attributes:
        margin: half the square's side, in radii; above 0.
        least_half_px: half the side at least, in pixels, however small the circle is; 0 or more.
    """

    margin: float
    least_half_px: float
    outside: Outside = Outside.ZERO

    def __post_init__(self) -> None:
        if not (0 < self.margin <= 1e6 and 0 <= self.least_half_px <= MOST_PX / 2):
            raise ValueError(f"{self}: expected a margin above 0 and a least half side of 0..{MOST_PX // 2} px.")

    def half_px(self, region: Region) -> float:
        """Return half the side of the square: ``max(margin * radius, least_half_px)``, float64 pixels."""
        return max(self.margin * region.radius, self.least_half_px)

    def square(self, region: Region) -> tuple[int, int, int]:
        """Return x and y of the square's upper left pixel, which may be negative, and its side in pixels.

        ``x - half``, ``y - half`` and ``2 * half`` are computed in float64 and rounded to whole numbers, ties to the
        even one (IEEE 754 roundTiesToEven, Python's ``round``).
        """
        half = self.half_px(region)
        return round(region.x - half), round(region.y - half), round(2 * half)


def cut(image: DecodedImage, region: Region | None, rule: RegionCrop | None) -> DecodedImage:
    """Return what a model sees of ``image``: the region's square, or all of it for a model without a rule.

    Raises:
        RegionError: see :func:`check_asked`.
        ImageRegionError: see :func:`crop`.
    """
    check_asked(region, rule)
    return image if region is None or rule is None else crop(image, region, rule)


def check_asked(region: Region | None, rule: RegionCrop | None) -> None:
    """Compare the question with the model.

    Raises:
        RegionError: ``region_missing``, if the model answers about regions and none is given; ``region_unexpected``, if
            it answers about whole images and one is.
    """
    if (region is None) is not (rule is None):
        raise region_error(region)


def region_error(region: Region | None) -> RegionError:
    """Return what is wrong where a region is missing, or ``region`` is one too many."""
    if region is None:
        return RegionError(
            "found no region, expected one: this model answers about a marked region of an image. "
            "Give its centre and radius in pixels: --region X,Y,RADIUS, or region=(x, y, radius).",
            code="region_missing",
        )
    return RegionError(
        f"found region {region}, expected none: this model answers about a whole image. "
        "Leave the region out, or use a model that is asked about regions.",
        code="region_unexpected",
    )


def crop(image: DecodedImage, region: Region, rule: RegionCrop) -> DecodedImage:
    """Cut the square around ``region`` out of ``image``, with zeros where it reaches over the edge.

    Returns:
        A copy, n×n or n×n×3 of the image's dtype and order, called ``<image>@<region>``.

    Raises:
        ImageRegionError: ``image_region_outside``, if the centre is no place in the image;
            ``image_region_too_small``, if less than 8 px across or down are in the image;
            ``image_region_too_large``, if the side is over 8000 px.
    """
    height, width = image.pixels.shape[:2]
    name = region_name(image.name, region)
    if not (0 <= region.x <= width - 1 and 0 <= region.y <= height - 1):
        expected = f"a centre in the image, x in 0..{width - 1} and y in 0..{height - 1}"
        raise _error(
            "image_region_outside", name, "a centre outside the image", f"{expected} (y from the top). Correct it."
        )
    if not 2 * rule.half_px(region) <= MOST_PX:
        found = f"a square of {2 * rule.half_px(region):g} px a side"
        raise _error("image_region_too_large", name, found, f"at most {MOST_PX} px. Mark less of the image.")
    x, y, side = rule.square(region)
    left, top, right, bottom = max(x, 0), max(y, 0), min(x + side, width), min(y + side, height)
    if min(right - left, bottom - top) < LEAST_PX:
        found = f"{max(right - left, 0)}x{max(bottom - top, 0)} px of the image around the region"
        raise _error("image_region_too_small", name, found, f"{LEAST_PX} or more, both ways. Mark the whole finding.")
    pixels = np.zeros((side, side, *image.pixels.shape[2:]), image.pixels.dtype)
    pixels[top - y : bottom - y, left - x : right - x] = image.pixels[top:bottom, left:right]
    return replace(image, name=name, pixels=pixels)


def _error(code: str, name: str, found: str, expected: str) -> ImageRegionError:
    return ImageRegionError(f"{name}: found {found}, expected {expected}", code=code)


def region_name(name: str, region: Region | None) -> str:
    """Return ``mdb001.pgm@535,598,197``: the key of a region in lists and messages; ``name`` itself without one."""
    return name if region is None else f"{name}@{region}"


def split_name(name: str) -> tuple[str, Region | None]:
    """Undo :func:`region_name`.

    What follows the last ``@`` is a region only in the very form that :func:`region_name` writes; no image's file
    has such a name, since the ending that tells its format would follow.
    """
    file, _, text = name.rpartition("@")
    if not file or _TEXT.fullmatch(text) is None:
        return name, None
    try:
        region = Region.parse(text)
    except RegionError:
        return name, None
    return (file, region) if str(region) == text else (name, None)


def _finite(value: object) -> bool:
    return isinstance(value, int | float | np.number) and math.isfinite(value)


def _shortest(value: float) -> str:
    """Return the shortest decimal number that is ``value``; whole numbers without a point."""
    return repr(value).removesuffix(".0")
