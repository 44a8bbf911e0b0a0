"""Declarations of the steps that change an image's size: resize, letterbox, pad and centre crop.

Each places the image, scaled to ``fitted``, with its upper left corner at ``corner`` in a result of size ``frame``.
Heatmaps are mapped back to the image with the same three numbers (:func:`edge_runtime.preprocessing.steps.covered`).
"""

from __future__ import annotations

import enum
from typing import ClassVar

from edge_runtime.serialisation.frozen import dataclass

Pair = tuple[int, int]
"""Two numbers of pixels: across, then down."""

LARGEST_PX = 4096
"""Largest side that a step may state, and of the result of the steps."""


class Interpolation(enum.Enum):
    """The interpolation of a resize. Pixel centres lie at half-integers in all methods."""

    NEAREST = "nearest"  # equal to Pillow's NEAREST and to OpenCV 5's INTER_NEAREST_EXACT
    LINEAR = "linear"  # float32: equal to tf.image.resize; uint8: OpenCV INTER_LINEAR, bits differ by processor
    LINEAR_EXACT = "linear_exact"  # OpenCV INTER_LINEAR_EXACT; uint8 only, equal bits on all processors
    AREA = "area"  # OpenCV INTER_AREA; for shrinking
    BICUBIC = "bicubic"  # equal to tf.image.resize with method bicubic; uint8: the same, rounded
    LINEAR_ANTIALIAS = "linear_antialias"  # equal to Pillow's BILINEAR; uint8 only
    BICUBIC_ANTIALIAS = "bicubic_antialias"  # equal to Pillow's BICUBIC; uint8 only


class PixelType(enum.Enum):
    """The dtype of a step's computation and output."""

    UINT8 = "uint8"  # rounded and saturated to 0..255
    FLOAT32 = "float32"  # neither rounded nor clipped


class Target(enum.Enum):
    """What ``width_px`` and ``height_px`` of a pad or centre crop state."""

    PIXELS = "pixels"  # the size itself
    ASPECT_RATIO = "aspect_ratio"  # only the ratio of the sides; the size depends on the image


_WHOLE_LEVELS = (Interpolation.LINEAR_EXACT, Interpolation.LINEAR_ANTIALIAS, Interpolation.BICUBIC_ANTIALIAS)


@dataclass(frozen=True)
class Resize:
    """Resize to ``width_px`` × ``height_px`` pixels; the aspect ratio is not kept."""

    KIND: ClassVar[str] = "resize"
    width_px: int
    height_px: int
    interpolation: Interpolation
    result: PixelType

    def __post_init__(self) -> None:
        _check_sides(self.KIND, self.width_px, self.height_px)
        _check_levels(self.KIND, self.interpolation, self.result)

    def frame(self, width: int, height: int) -> Pair:
        """Return width and height of the result for a ``width`` × ``height`` image."""
        return self.width_px, self.height_px

    fitted = frame

    def corner(self, width: int, height: int) -> Pair:
        """Return 0, 0: the image fills the result."""
        return 0, 0


@dataclass(frozen=True)
class ResizeShorter:
    """Resize so that the shorter side has ``shorter_px`` pixels, and keep the aspect ratio.

    The longer side is ``longer * shorter_px / shorter``, rounded down, as in torchvision's ``Resize(shorter_px)``.
    """

    KIND: ClassVar[str] = "resize_shorter"
    shorter_px: int
    interpolation: Interpolation
    result: PixelType

    def __post_init__(self) -> None:
        _check_sides(self.KIND, self.shorter_px, self.shorter_px)
        _check_levels(self.KIND, self.interpolation, self.result)

    def frame(self, width: int, height: int) -> Pair:
        """Return width and height of the result for a ``width`` × ``height`` image."""
        shorter = min(width, height)
        return width * self.shorter_px // shorter, height * self.shorter_px // shorter

    fitted = frame

    def corner(self, width: int, height: int) -> Pair:
        """Return 0, 0: the image fills the result."""
        return 0, 0


@dataclass(frozen=True)
class Letterbox:
    """Resize into a frame of ``width_px`` × ``height_px`` pixels and keep the aspect ratio; the rest is black (0).

    The image is scaled by OpenCV INTER_LINEAR_EXACT on uint8, whose bits are equal on all processors. Of a W×H image,
    one side fills the frame; the other is ``side × scale``, rounded to whole pixels, half up, at least 1. The image is
    centred; if the black borders cannot be equal, the left or upper one is a pixel narrower.
    """

    KIND: ClassVar[str] = "letterbox"
    width_px: int
    height_px: int

    def __post_init__(self) -> None:
        _check_sides(self.KIND, self.width_px, self.height_px)

    @property
    def result(self) -> PixelType:
        """The dtype of the output."""
        return PixelType.UINT8

    def frame(self, width: int, height: int) -> Pair:
        """Return width and height of the result for a ``width`` × ``height`` image."""
        return self.width_px, self.height_px

    def fitted(self, width: int, height: int) -> Pair:
        """Return width and height in pixels to which a ``width`` × ``height`` image is scaled."""
        if width * self.height_px >= height * self.width_px:
            return self.width_px, max(1, (2 * height * self.width_px + width) // (2 * width))
        return max(1, (2 * width * self.height_px + height) // (2 * height)), self.height_px

    def corner(self, width: int, height: int) -> Pair:
        """Return the column and row of the frame at which the scaled ``width`` × ``height`` image begins."""
        fitted = self.fitted(width, height)
        return (self.width_px - fitted[0]) // 2, (self.height_px - fitted[1]) // 2


@dataclass(frozen=True)
class Pad:
    """Add a border of ``value`` around the image, which is neither scaled nor cut.

    With ``pixels``, a side shorter than ``width_px`` or ``height_px`` is padded to it; a longer one is left as it is.
    If the borders cannot be equal, the left or upper one is a pixel narrower. With ``aspect_ratio``, one side is padded
    until the sides have the ratio of ``width_px`` to ``height_px``, rounded down to whole pixels and to equal borders,
    as in Keras with ``pad_to_aspect_ratio``.

    Attributes:
        value: in the numbers of the image at this step: whole and 0..255 before a step on float32.
    """

    KIND: ClassVar[str] = "pad"
    width_px: int
    height_px: int
    to: Target
    value: float

    def __post_init__(self) -> None:
        _check_sides(self.KIND, self.width_px, self.height_px)
        if not abs(self.value) <= 1e6:
            raise ValueError(f"pad: found value {self.value}, expected a number within ±1e+06.")

    def frame(self, width: int, height: int) -> Pair:
        """Return width and height of the result for a ``width`` × ``height`` image."""
        if self.to is Target.PIXELS:
            return max(width, self.width_px), max(height, self.height_px)
        across, down = height * self.width_px // self.height_px, width * self.height_px // self.width_px
        return max(width, across - (across - width) % 2), max(height, down - (down - height) % 2)

    def fitted(self, width: int, height: int) -> Pair:
        """Return ``width`` and ``height``: the image is not scaled."""
        return width, height

    def corner(self, width: int, height: int) -> Pair:
        """Return the column and row of the result at which the image begins, 0 or more."""
        frame = self.frame(width, height)
        return (frame[0] - width) // 2, (frame[1] - height) // 2


@dataclass(frozen=True)
class CentreCrop:
    """Keep the centre of the image, without scaling.

    With ``pixels``, ``width_px`` × ``height_px`` pixels are kept. With ``aspect_ratio``, the largest part whose sides
    have the ratio of ``width_px`` to ``height_px`` is kept, rounded down to whole pixels, at least 1, as in Keras with
    ``crop_to_aspect_ratio``. If an odd number of columns or rows is cut off, one fewer is cut off at the left or above.
    """

    KIND: ClassVar[str] = "centre_crop"
    width_px: int
    height_px: int
    to: Target

    def __post_init__(self) -> None:
        _check_sides(self.KIND, self.width_px, self.height_px)

    def frame(self, width: int, height: int) -> Pair:
        """Return width and height of the result for a ``width`` × ``height`` image."""
        if self.to is Target.PIXELS:
            return self.width_px, self.height_px
        across, down = height * self.width_px // self.height_px, width * self.height_px // self.width_px
        return max(min(width, across), 1), max(min(height, down), 1)

    def fitted(self, width: int, height: int) -> Pair:
        """Return ``width`` and ``height``: the image is not scaled."""
        return width, height

    def corner(self, width: int, height: int) -> Pair:
        """Return the column and row of the result at which the image would begin, 0 or less."""
        frame = self.frame(width, height)
        return -((width - frame[0]) // 2), -((height - frame[1]) // 2)


Geometry = Resize | ResizeShorter | Letterbox | Pad | CentreCrop


def _check_sides(kind: str, width: int, height: int) -> None:
    if not (1 <= width <= LARGEST_PX and 1 <= height <= LARGEST_PX):
        raise ValueError(f"{kind}: found {width}x{height} px, expected sides of 1..{LARGEST_PX} px.")


def _check_levels(kind: str, interpolation: Interpolation, result: PixelType) -> None:
    if interpolation in _WHOLE_LEVELS and result is PixelType.FLOAT32:
        other = "bicubic" if interpolation is Interpolation.BICUBIC_ANTIALIAS else "linear"
        raise ValueError(f"{kind}: {interpolation.value} requires uint8. Use {other} for a float32 result.")
