"""The steps from image to tensor, as a person writes them down: frozen, each with everything said.

Nothing in a step is a library's default: colour order, size, interpolation, dtype, kernel and border are all written
out. :mod:`edge_runtime.preprocessing.preprocessor` does what they say.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import ClassVar

from edge_runtime.images.colour import ColourOrder

_LARGEST = 1e6
"""Of the numbers in a step: beyond it float32 keeps too few digits of a pixel, and products of steps overflow."""


class Interpolation(enum.Enum):
    """How a resize finds a value between pixels. Pixel centres lie at half-integers in all of them."""

    NEAREST = "nearest"  # equal to Pillow's NEAREST and to OpenCV 5's INTER_NEAREST_EXACT
    LINEAR = "linear"  # float32: tf.image.resize, bit for bit; uint8: OpenCV INTER_LINEAR, bits differ by processor
    LINEAR_EXACT = "linear_exact"  # OpenCV INTER_LINEAR_EXACT; uint8 only, the same bits everywhere
    AREA = "area"  # OpenCV INTER_AREA; for shrinking


class PixelType(enum.Enum):
    """The dtype in which a step computes and which it hands on."""

    UINT8 = "uint8"  # rounded and saturated to 0..255
    FLOAT32 = "float32"  # neither rounded nor clipped


class Border(enum.Enum):
    """What a convolution sees beyond the edge."""

    REFLECT_101 = "reflect_101"  # gfedcb|abcdefgh|gfedcba: reflected, the edge pixel not repeated
    REPLICATE = "replicate"  # aaaaaa|abcdefgh|hhhhhhh
    ZERO = "zero"


@dataclass(frozen=True)
class Colour:
    """Bring the image to ``order``. Grey from colour is .299 R + .587 G + .114 B, rounded (ITU-R BT.601)."""

    KIND: ClassVar[str] = "colour"
    order: ColourOrder


@dataclass(frozen=True)
class Window:
    """Map ``low..high`` of an image deeper than 8 bits linearly to 0..255 uint8, saturating outside."""

    KIND: ClassVar[str] = "window"
    low: int
    high: int

    def __post_init__(self) -> None:
        if not 0 <= self.low < self.high <= 65535:
            raise ValueError(f"window {self.low}..{self.high}: expected 0 <= low < high <= 65535.")


@dataclass(frozen=True)
class Resize:
    """Stretch to ``width_px`` × ``height_px``; the aspect ratio is not kept."""

    KIND: ClassVar[str] = "resize"
    width_px: int
    height_px: int
    interpolation: Interpolation
    result: PixelType

    def __post_init__(self) -> None:
        if not (1 <= self.width_px <= 4096 and 1 <= self.height_px <= 4096):
            raise ValueError(f"resize to {self.width_px}x{self.height_px}: expected sides of 1..4096 px.")
        if self.interpolation is Interpolation.LINEAR_EXACT and self.result is PixelType.FLOAT32:
            raise ValueError("linear_exact works on uint8 alone; use linear for a float32 result.")


@dataclass(frozen=True)
class Sharpen:
    """Correlate every channel with a square odd ``kernel`` (rows from the top)."""

    KIND: ClassVar[str] = "sharpen"
    kernel: tuple[tuple[float, ...], ...]
    result: PixelType
    border: Border

    def __post_init__(self) -> None:
        side = len(self.kernel)
        if side % 2 == 0 or any(len(row) != side for row in self.kernel):
            raise ValueError(f"sharpen: expected a square kernel of odd side, found rows of {self.kernel!r}.")
        if side > 31 or any(abs(value) > _LARGEST for row in self.kernel for value in row):
            raise ValueError(f"sharpen: expected a side of 1..31 and values within {_LARGEST:g}, found side {side}.")


@dataclass(frozen=True)
class MinMax:
    """Stretch the whole image, all channels together, linearly to ``low..high`` in float32."""

    KIND: ClassVar[str] = "min_max"
    low: float
    high: float

    def __post_init__(self) -> None:
        if self.low == self.high or max(abs(self.low), abs(self.high)) > _LARGEST:
            raise ValueError(f"min_max {self.low}..{self.high}: expected two different numbers within {_LARGEST:g}.")


@dataclass(frozen=True)
class Scale:
    """``x / divisor + offset`` in float32."""

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
                f"scale: found divisor {self.divisor} and offset {self.offset}, expected a divisor other than 0, "
                f"{1 / _LARGEST:g}..{_LARGEST:g} either way, and an offset within {_LARGEST:g}."
            )


@dataclass(frozen=True)
class Normalize:
    """``(x - mean) / std`` in float32, one mean and one deviation a channel, in the order of the channels then."""

    KIND: ClassVar[str] = "normalize"
    mean: tuple[float, ...]
    std: tuple[float, ...]

    def __post_init__(self) -> None:
        if len(self.mean) != len(self.std) or len(self.mean) not in (1, 3):
            raise ValueError(
                f"normalize: found {len(self.mean)} means and {len(self.std)} deviations, expected one of each a "
                "channel: 1 for grey, 3 for colour."
            )
        if not all(1 / _LARGEST <= value <= _LARGEST for value in self.std):
            raise ValueError(
                f"normalize: found std {list(self.std)}, expected numbers above 0, {1 / _LARGEST:g} to {_LARGEST:g}."
            )
        if not all(abs(value) <= _LARGEST for value in self.mean):
            raise ValueError(f"normalize: found mean {list(self.mean)}, expected numbers within {_LARGEST:g}.")


Step = Colour | Window | Resize | Sharpen | MinMax | Scale | Normalize

LAPLACIAN_SHARPEN_3X3: tuple[tuple[float, ...], ...] = ((-1.0, -1.0, -1.0), (-1.0, 9.0, -1.0), (-1.0, -1.0, -1.0))
"""Identity plus the 8-neighbour Laplacian (Gonzalez & Woods, Digital Image Processing, 3.6.2)."""


def check_order(steps: tuple[Step, ...]) -> None:
    """A tensor's shape must follow from the steps alone, and uint8 steps must come before float ones."""
    if sum(isinstance(step, Resize) for step in steps) == 0:
        raise ValueError("steps: expected a resize, found none; the network's input size would be unknown.")
    if sum(isinstance(step, Colour) for step in steps) == 0:
        raise ValueError("steps: expected a colour step, found none; the channel order would be unknown.")
    if any(isinstance(step, Window) for step in steps[1:]):
        raise ValueError("steps: a window step must come first.")
    floating, channels = False, 0
    for step in steps:
        if isinstance(step, Colour):
            channels = 1 if step.order is ColourOrder.GREY else 3
        if isinstance(step, Normalize) and len(step.mean) != channels:
            found = f"{channels} channels" if channels else "no colour step before it"
            raise ValueError(f"steps: normalize has {len(step.mean)} means, found {found}; give one a channel.")
        result = getattr(step, "result", None)
        if floating and (isinstance(step, Colour) or result is PixelType.UINT8):
            raise ValueError(f"steps: {step.KIND} on uint8 comes after a float32 step; put it before.")
        floating = floating or result is PixelType.FLOAT32 or isinstance(step, MinMax | Scale | Normalize)
