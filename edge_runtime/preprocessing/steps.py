"""Declarations of the preprocessing steps, as a recipe or spec contains them: frozen dataclasses.

No step relies on a library's default: colour order, size, interpolation, dtype, kernel and border are all explicit.
:mod:`edge_runtime.preprocessing.geometry` holds those that change the image's size, and
:mod:`edge_runtime.preprocessing.preprocessor` applies the steps.
"""

from __future__ import annotations

import enum
from typing import ClassVar

from edge_runtime.images.colour import ColourOrder
from edge_runtime.preprocessing.geometry import (
    LARGEST_PX,
    CentreCrop,
    Geometry,
    Interpolation,
    Letterbox,
    Pad,
    PixelType,
    Resize,
    ResizeShorter,
    Target,
)
from edge_runtime.serialisation.frozen import dataclass

__all__ = [
    "LAPLACIAN_SHARPEN_3X3",
    "Border",
    "CentreCrop",
    "Colour",
    "Interpolation",
    "Letterbox",
    "MinMax",
    "Normalize",
    "Pad",
    "PixelType",
    "Resize",
    "ResizeShorter",
    "Scale",
    "Sharpen",
    "Step",
    "Target",
    "Window",
    "check_order",
    "check_sizes",
    "covered",
    "size_of",
]

_LARGEST = 1e6
"""Largest number in a step. Above it, float32 keeps too few digits of a pixel, and products of steps overflow."""


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


Step = Colour | Window | Resize | ResizeShorter | Letterbox | Pad | CentreCrop | Sharpen | MinMax | Scale | Normalize

LAPLACIAN_SHARPEN_3X3: tuple[tuple[float, ...], ...] = ((-1.0, -1.0, -1.0), (-1.0, 9.0, -1.0), (-1.0, -1.0, -1.0))
"""Identity plus the 8-neighbour Laplacian (Gonzalez & Woods, Digital Image Processing, 3.6.2)."""


def check_order(steps: tuple[Step, ...]) -> None:
    """Check that the steps determine the tensor's shape, and that uint8 steps come before float32 steps.

    Raises:
        ValueError: a resize or colour step is missing, a step is in the wrong place, or the number of means does not
            match the channels.
    """
    if sum(_is_fixed(step) for step in steps) == 0:
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
        if isinstance(step, Pad) and not (floating or (step.value.is_integer() and 0 <= step.value <= 255)):
            raise ValueError(f"steps: found pad with value {step.value} on uint8, expected a whole number of 0..255.")
        result = getattr(step, "result", None)
        if floating and (isinstance(step, Colour) or result is PixelType.UINT8):
            raise ValueError(f"steps: {step.KIND} on uint8 comes after a float32 step. Move it before that step.")
        floating = floating or result is PixelType.FLOAT32 or isinstance(step, MinMax | Scale | Normalize)


def check_sizes(steps: tuple[Step, ...], least_px: int) -> None:
    """Check that no image is smaller than a centre crop, and that no result is too large.

    Args:
        steps: steps that passed :func:`check_order`.
        least_px: shortest side of an image.

    Raises:
        ValueError: the message names the step, the sizes and the remedy.
    """
    known, size = False, (least_px, least_px)
    for step in steps:
        if not isinstance(step, Geometry):
            continue
        fixed, before = _is_fixed(step), size
        if known or not isinstance(step, Pad) or step.to is Target.PIXELS:  # else only as large as the image, for sure
            size = step.frame(*size)
        if isinstance(step, CentreCrop) and fixed and (before[0] < size[0] or before[1] < size[1]):
            remedy = "Put a resize, resize_shorter or pad step before it."
            if not known:
                remedy = f"Set min_side_px to {max(size)}, or put a resize_shorter or pad step before it."
            raise ValueError(
                f"steps: centre_crop keeps {size[0]}x{size[1]} px, found an image of {before[0]}x{before[1]} px "
                f"before it. {remedy}"
            )
        known = known or fixed
        if known and max(size) > LARGEST_PX:
            raise ValueError(
                f"steps: {step.KIND} gives {size[0]}x{size[1]} px, expected sides of at most {LARGEST_PX} px. Correct "
                "its size."
            )


def size_of(steps: tuple[Step, ...]) -> tuple[int, int]:
    """Return width and height of the tensor in pixels, which are the same for all images."""
    size = (1, 1)
    for step in steps:
        if isinstance(step, Geometry):
            size = step.frame(*size)
    return size


def count_to_levels(steps: tuple[Step, ...]) -> int | None:
    """Return how many steps give uint8 levels, with only scale and normalize steps after them; None if not all do.

    A look-up table of 256 levels then replaces the steps after them.
    """
    count = len(steps)
    while count and isinstance(steps[count - 1], Scale | Normalize):
        count -= 1
    floating = any(
        getattr(step, "result", None) is PixelType.FLOAT32 or isinstance(step, MinMax | Scale | Normalize)
        for step in steps[:count]
    )
    return None if floating else count


def _is_fixed(step: Step) -> bool:
    """Return whether a step gives the same size for all images. All later sizes then depend on this size alone."""
    crop = isinstance(step, CentreCrop) and step.to is Target.PIXELS
    return crop or isinstance(step, Resize | Letterbox)


def covered(steps: tuple[Step, ...], width: int, height: int) -> tuple[int, int, int, int]:
    """Return what the tensor of a ``width`` × ``height`` image shows: left, top, right, bottom in pixels of the image.

    Right and bottom are exclusive. Without letterbox, pad and centre crop it is 0, 0, ``width``, ``height``. With a
    border, the area is larger than the image; with a centre crop it is smaller. Its edges are rounded to whole pixels.
    """
    box, size = [0.0, 0.0, float(width), float(height)], (width, height)
    for step in steps:
        if isinstance(step, Geometry):
            fitted, (left, top), frame = step.fitted(*size), step.corner(*size), step.frame(*size)
            across, down = (box[2] - box[0]) / fitted[0], (box[3] - box[1]) / fitted[1]
            box[0] -= left * across
            box[1] -= top * down
            box[2:] = box[0] + frame[0] * across, box[1] + frame[1] * down
            size = frame
    left_px, top_px, right_px, bottom_px = (round(edge) for edge in box)
    return left_px, top_px, right_px, bottom_px
