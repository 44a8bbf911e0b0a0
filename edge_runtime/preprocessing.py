"""Picture to tensor: the only place in the project where a pixel that a model sees is changed.

Training, int8 calibration, parity checks and the device all call :func:`prepare`. Each step is a
pure function of an array and a frozen step from :mod:`edge_runtime.spec`.
"""

from __future__ import annotations

from functools import singledispatch
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from edge_runtime.bilinear import resize_bilinear
from edge_runtime.errors import ImageUnsupportedError
from edge_runtime.imaging import Picture
from edge_runtime.steps import (
    Border,
    Colour,
    ColourOrder,
    Interpolation,
    MinMax,
    PixelType,
    Resize,
    Scale,
    Sharpen,
    Step,
    Window,
)

Array = npt.NDArray[np.integer[Any] | np.floating[Any]]

_CONVERSION = {
    (ColourOrder.RGB, ColourOrder.BGR): cv2.COLOR_RGB2BGR,
    (ColourOrder.RGB, ColourOrder.GREY): cv2.COLOR_RGB2GRAY,
    (ColourOrder.BGR, ColourOrder.RGB): cv2.COLOR_BGR2RGB,
    (ColourOrder.BGR, ColourOrder.GREY): cv2.COLOR_BGR2GRAY,
    (ColourOrder.GREY, ColourOrder.RGB): cv2.COLOR_GRAY2RGB,
    (ColourOrder.GREY, ColourOrder.BGR): cv2.COLOR_GRAY2BGR,
}
_INTERPOLATION = {
    Interpolation.NEAREST: cv2.INTER_NEAREST_EXACT,
    Interpolation.LINEAR: cv2.INTER_LINEAR,
    Interpolation.LINEAR_EXACT: cv2.INTER_LINEAR_EXACT,
    Interpolation.AREA: cv2.INTER_AREA,
}
_BORDER = {
    Border.REFLECT_101: cv2.BORDER_REFLECT_101,
    Border.REPLICATE: cv2.BORDER_REPLICATE,
    Border.ZERO: cv2.BORDER_CONSTANT,
}
_DTYPE = {PixelType.UINT8: np.uint8, PixelType.FLOAT32: np.float32}


def prepare(picture: Picture, steps: tuple[Step, ...]) -> npt.NDArray[np.float32]:
    """Apply ``steps`` in order.

    Args:
        picture: uint8 pixels (or uint16 if the first step is a window), grey H×W or colour H×W×3.
        steps: a spec's steps.

    Returns:
        float32 tensor, C-contiguous, H×W×1 or H×W×3, in the range that the last step leaves.

    Raises:
        ImageUnsupportedError: the picture has more than 8 bits and no window step takes them, or a
            min-max step meets a picture of one single value.
    """
    if picture.pixels.dtype != np.uint8 and not (steps and isinstance(steps[0], Window)):
        raise ImageUnsupportedError(
            f"{picture.name}: found {picture.pixels.dtype} pixels, expected 8 bits a channel. "
            "This model has no window step for deeper pictures: export the picture as 8 bits with the "
            "window that its readers use, or use a model whose spec has one.",
            code="image_depth",
        )
    order = picture.order
    pixels: Array = picture.pixels
    for step in steps:
        if isinstance(step, Colour):
            order, pixels = step.order, _recolour(pixels, order, step.order)
        else:
            pixels = apply(step, pixels, picture.name)
    tensor = np.ascontiguousarray(pixels, dtype=np.float32)
    return tensor[..., np.newaxis] if tensor.ndim == 2 else tensor


def _recolour(pixels: Array, source: ColourOrder, target: ColourOrder) -> Array:
    return pixels if source is target else cv2.cvtColor(pixels, _CONVERSION[source, target])


@singledispatch
def apply(step: Step, pixels: Array, name: str) -> Array:
    """Apply one step other than colour to H×W or H×W×3 pixels; ``name`` appears in errors."""
    raise TypeError(f"{type(step).__name__} is no preprocessing step.")


@apply.register
def _window(step: Window, pixels: Array, name: str) -> Array:
    wide = (pixels.astype(np.float64) - step.low) * (255.0 / (step.high - step.low))
    return np.clip(np.rint(wide), 0, 255).astype(np.uint8)


@apply.register
def _resize(step: Resize, pixels: Array, name: str) -> Array:
    dtype = _DTYPE[step.result]
    if pixels.shape[:2] == (step.height_px, step.width_px):
        return pixels.astype(dtype, copy=False)
    if step.interpolation is Interpolation.LINEAR and step.result is PixelType.FLOAT32:
        return resize_bilinear(pixels, step.width_px, step.height_px)
    size = (step.width_px, step.height_px)
    return cv2.resize(pixels.astype(dtype, copy=False), size, interpolation=_INTERPOLATION[step.interpolation])


@apply.register
def _sharpen(step: Sharpen, pixels: Array, name: str) -> Array:
    pixels = pixels.astype(_DTYPE[step.result], copy=False)
    kernel = np.asarray(step.kernel, dtype=np.float32)
    return cv2.filter2D(pixels, -1, kernel, borderType=_BORDER[step.border])


@apply.register
def _min_max(step: MinMax, pixels: Array, name: str) -> Array:
    wide = pixels.astype(np.float32, copy=False)
    low, high = wide.min(), wide.max()
    if low == high:
        raise ImageUnsupportedError(
            f"{name}: every value is {low:g}, expected a picture with contrast; "
            "a min-max stretch of a blank picture is undefined. Check the exposure.",
            code="image_blank",
        )
    stretch = np.float32((step.high - step.low) / (float(high) - float(low)))
    return np.asarray((wide - low) * stretch + np.float32(step.low))


@apply.register
def _scale(step: Scale, pixels: Array, name: str) -> Array:
    scaled = pixels.astype(np.float32, copy=False) / np.float32(step.divisor)
    return scaled + np.float32(step.offset) if step.offset else scaled
