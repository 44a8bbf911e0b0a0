"""Declarations of the preprocessing steps, as a recipe or spec contains them: frozen dataclasses.

No step relies on a library's default: colour order, size, interpolation, dtype, kernel and border are all explicit.
:mod:`edge_runtime.preprocessing.preprocessor` applies the steps.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import ClassVar

from edge_runtime.images.colour import ColourOrder

_LARGEST = 1e6
"""Largest number in a step. Above it, float32 keeps too few digits of a pixel, and products of steps overflow."""


class Interpolation(enum.Enum):
    """The interpolation of a resize. Pixel centres lie at half-integers in all methods."""

    NEAREST = "nearest"  # equal to Pillow's NEAREST and to OpenCV 5's INTER_NEAREST_EXACT
    LINEAR = "linear"  # float32: equal to tf.image.resize; uint8: OpenCV INTER_LINEAR, bits differ by processor
    LINEAR_EXACT = "linear_exact"  # OpenCV INTER_LINEAR_EXACT; uint8 only, equal bits on all processors
    AREA = "area"  # OpenCV INTER_AREA; for shrinking


class PixelType(enum.Enum):
    """The dtype of a step's computation and output."""

    UINT8 = "uint8"  # rounded and saturated to 0..255
    FLOAT32 = "float32"  # neither rounded nor clipped


class Border(enum.Enum):
    """The values that a convolution uses outside the image."""

    REFLECT_101 = "reflect_101"  # gfedcb|abcdefgh|gfedcba: reflected, the edge pixel not repeated
    REPLICATE = "replicate"  # aaaaaa|abcdefgh|hhhhhhh
    ZERO = "zero"


@dataclass(frozen=True)
class Colour:
    """Convert the image to ``order``. Grey from colour is 0.299 R + 0.587 G + 0.114 B, rounded (ITU-R BT.601)."""

    KIND: ClassVar[str] = "colour"
    order: ColourOrder


@dataclass(frozen=True)
class Window:
    """Map ``low..high`` of an image with more than 8 bits linearly to uint8 0..255; saturate values outside."""

    KIND: ClassVar[str] = "window"
    low: int
    high: int

    def __post_init__(self) -> None:
        if not 0 <= self.low < self.high <= 65535:
            raise ValueError(f"window: found {self.low}..{self.high}, expected 0 <= low < high <= 65535.")


@dataclass(frozen=True)
class Resize:
    """Resize to ``width_px`` × ``height_px`` pixels; the aspect ratio is not kept."""

    KIND: ClassVar[str] = "resize"
    width_px: int
    height_px: int
    interpolation: Interpolation
    result: PixelType

    def __post_init__(self) -> None:
        if not (1 <= self.width_px <= 4096 and 1 <= self.height_px <= 4096):
            raise ValueError(f"resize: found {self.width_px}x{self.height_px} px, expected sides of 1..4096 px.")
        if self.interpolation is Interpolation.LINEAR_EXACT and self.result is PixelType.FLOAT32:
            raise ValueError("resize: linear_exact requires uint8. Use linear for a float32 result.")


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
        if not (1 <= self.width_px <= 4096 and 1 <= self.height_px <= 4096):
            raise ValueError(f"letterbox: found {self.width_px}x{self.height_px} px, expected sides of 1..4096 px.")

    @property
    def result(self) -> PixelType:
        """The dtype of the output."""
        return PixelType.UINT8

    def fitted(self, width: int, height: int) -> tuple[int, int]:
        """Return width and height in pixels to which a ``width`` × ``height`` image is scaled."""
        if width * self.height_px >= height * self.width_px:
            return self.width_px, max(1, (2 * height * self.width_px + width) // (2 * width))
        return max(1, (2 * width * self.height_px + height) // (2 * height)), self.height_px

    def corner(self, width: int, height: int) -> tuple[int, int]:
        """Return the column and row of the frame at which the scaled ``width`` × ``height`` image begins."""
        fitted = self.fitted(width, height)
        return (self.width_px - fitted[0]) // 2, (self.height_px - fitted[1]) // 2


@dataclass(frozen=True)
class Sharpen:
    """Correlate every channel with ``kernel``: square, of odd side, rows from the top."""

    KIND: ClassVar[str] = "sharpen"
    kernel: tuple[tuple[float, ...], ...]
    result: PixelType
    border: Border

    def __post_init__(self) -> None:
        side = len(self.kernel)
        if side % 2 == 0 or any(len(row) != side for row in self.kernel):
            raise ValueError(f"sharpen: found kernel {self.kernel!r}, expected a square kernel of odd side.")
        if side > 31 or any(abs(value) > _LARGEST for row in self.kernel for value in row):
            raise ValueError(f"sharpen: found side {side}, expected a side of 1..31 and values within ±{_LARGEST:g}.")


@dataclass(frozen=True)
class MinMax:
    """Map the minimum and maximum over all channels linearly to ``low`` and ``high``, in float32."""

    KIND: ClassVar[str] = "min_max"
    low: float
    high: float

    def __post_init__(self) -> None:
        if self.low == self.high or max(abs(self.low), abs(self.high)) > _LARGEST:
            raise ValueError(
                f"min_max: found {self.low}..{self.high}, expected two different numbers within ±{_LARGEST:g}."
            )


@dataclass(frozen=True)
class Scale:
    """Compute ``x / divisor + offset`` in float32."""

    KIND: ClassVar[str] = "scale"
    LISTED: ClassVar[str] = (
        'For one value a channel write {"kind": "normalize", "mean": [...], "std": [...]}, which is (x - mean) / std. '
        "Keras' caffe mode is colour bgr, mean [103.939, 116.779, 123.68] and std [1, 1, 1]."
    )
    divisor: float
    offset: float

    def __post_init__(self) -> None:
        if not 1 / _LARGEST <= abs(self.divisor) <= _LARGEST or abs(self.offset) > _LARGEST:
            raise ValueError(
                f"scale: found divisor {self.divisor} and offset {self.offset}, expected an absolute divisor of "
                f"{1 / _LARGEST:g}..{_LARGEST:g} and an offset within ±{_LARGEST:g}."
            )


@dataclass(frozen=True)
class Normalize:
    """Compute ``(x - mean) / std`` in float32, with one mean and one deviation for each channel, in channel order."""

    KIND: ClassVar[str] = "normalize"
    mean: tuple[float, ...]
    std: tuple[float, ...]

    def __post_init__(self) -> None:
        if len(self.mean) != len(self.std) or len(self.mean) not in (1, 3):
            raise ValueError(
                f"normalize: found {len(self.mean)} means and {len(self.std)} deviations, expected one of each for "
                "every channel: 1 for grey, 3 for colour."
            )
        if not all(1 / _LARGEST <= value <= _LARGEST for value in self.std):
            raise ValueError(
                f"normalize: found std {list(self.std)}, expected numbers above 0, {1 / _LARGEST:g} to {_LARGEST:g}."
            )
        if not all(abs(value) <= _LARGEST for value in self.mean):
            raise ValueError(f"normalize: found mean {list(self.mean)}, expected numbers within {_LARGEST:g}.")


Step = Colour | Window | Resize | Letterbox | Sharpen | MinMax | Scale | Normalize

LAPLACIAN_SHARPEN_3X3: tuple[tuple[float, ...], ...] = ((-1.0, -1.0, -1.0), (-1.0, 9.0, -1.0), (-1.0, -1.0, -1.0))
"""Identity plus the 8-neighbour Laplacian (Gonzalez & Woods, Digital Image Processing, 3.6.2)."""


def check_order(steps: tuple[Step, ...]) -> None:
    """Check that the steps determine the tensor's shape, and that uint8 steps come before float32 steps.

    Raises:
        ValueError: a resize or colour step is missing, a step is in the wrong place, or the number of means does not
            match the channels.
    """
    if sum(isinstance(step, Resize | Letterbox) for step in steps) == 0:
        raise ValueError("steps: found no resize step, expected one. It sets the network's input size.")
    if sum(isinstance(step, Colour) for step in steps) == 0:
        raise ValueError("steps: found no colour step, expected one. It sets the channel order.")
    if any(isinstance(step, Window) for step in steps[1:]):
        raise ValueError("steps: a window step must be the first step.")
    floating, channels = False, 0
    for step in steps:
        if isinstance(step, Colour):
            channels = 1 if step.order is ColourOrder.GREY else 3
        if isinstance(step, Normalize) and len(step.mean) != channels:
            found = f"{channels} channels" if channels else "no colour step before it"
            raise ValueError(f"steps: normalize has {len(step.mean)} means, found {found}. Give one mean a channel.")
        result = getattr(step, "result", None)
        if floating and (isinstance(step, Colour) or result is PixelType.UINT8):
            raise ValueError(f"steps: {step.KIND} on uint8 comes after a float32 step. Move it before that step.")
        floating = floating or result is PixelType.FLOAT32 or isinstance(step, MinMax | Scale | Normalize)


def covered(steps: tuple[Step, ...], width: int, height: int) -> tuple[int, int, int, int]:
    """Return what the tensor of a ``width`` × ``height`` image shows: left, top, right, bottom in pixels of the image.

    Right and bottom are exclusive. Without a letterbox it is 0, 0, ``width``, ``height``. A letterbox also shows black
    borders, so the area is larger than the image; its edges are rounded to whole pixels.
    """
    box, size = [0.0, 0.0, float(width), float(height)], (width, height)
    for step in steps:
        if isinstance(step, Letterbox):
            fitted, (left, top) = step.fitted(*size), step.corner(*size)
            across, down = (box[2] - box[0]) / fitted[0], (box[3] - box[1]) / fitted[1]
            box[0] -= left * across
            box[1] -= top * down
            box[2:] = box[0] + step.width_px * across, box[1] + step.height_px * down
        if isinstance(step, Letterbox | Resize):
            size = step.width_px, step.height_px
    left_px, top_px, right_px, bottom_px = (round(edge) for edge in box)
    return left_px, top_px, right_px, bottom_px
