"""Pixel operations of the preprocessing steps: one pure, thread-safe function for each frozen step."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from edge_runtime.errors import ImageSizeError, ImageUnsupportedError
from edge_runtime.images.colour import ColourOrder
from edge_runtime.images.formats.header import MAX_PIXELS
from edge_runtime.preprocessing.steps import (
    Border,
    CentreCrop,
    Colour,
    Interpolation,
    Letterbox,
    MinMax,
    Normalize,
    Pad,
    PixelType,
    Resize,
    ResizeShorter,
    Scale,
    Sharpen,
    Step,
    Window,
)

Array = npt.NDArray[np.integer[Any] | np.floating[Any]]
Operation = Callable[[Array, str], Array]
"""A prepared step: takes pixels and the image's name (for errors), returns pixels."""

_CONVERSION = {
    (ColourOrder.RGB, ColourOrder.BGR): cv2.COLOR_RGB2BGR,
    (ColourOrder.RGB, ColourOrder.GREY): cv2.COLOR_RGB2GRAY,
    (ColourOrder.BGR, ColourOrder.RGB): cv2.COLOR_BGR2RGB,
    (ColourOrder.BGR, ColourOrder.GREY): cv2.COLOR_BGR2GRAY,
    (ColourOrder.GREY, ColourOrder.RGB): cv2.COLOR_GRAY2RGB,
    (ColourOrder.GREY, ColourOrder.BGR): cv2.COLOR_GRAY2BGR,
}
_INTERPOLATION = {
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


def apply(step: Step, pixels: Array, name: str) -> Array:
    """Apply one step to H×W or H×W×3 pixels.

    Args:
        step: any step except a colour step.
        pixels: the input of the step.
        name: the image's name in error messages.

    Raises:
        TypeError: the step is a colour step.
    """
    if isinstance(step, Colour):
        raise TypeError("a colour step requires the image's channel order; use preprocess().")
    return _ready(step)(pixels, name)


def operations(steps: Sequence[Step]) -> dict[ColourOrder, tuple[Operation, ...]]:
    """Return the operations of ``steps``, by the channel order of the image.

    Raises:
        TypeError: one of ``steps`` is not a preprocessing step.
    """
    made = [step if isinstance(step, Colour) else _ready(step) for step in steps]
    return {order: tuple(_from(order, made)) for order in ColourOrder}


def _from(order: ColourOrder, made: Sequence[Colour | Operation]) -> Iterator[Operation]:
    """Yield the operations for an image of ``order``, without colour steps that leave it as it is."""
    for step in made:
        if not isinstance(step, Colour):
            yield step
        elif step.order is not order:
            yield _recolour(_CONVERSION[order, step.order])
            order = step.order


def recolour(pixels: Array, source: ColourOrder, target: ColourOrder) -> Array:
    """Convert H×W or H×W×3 pixels from order ``source`` to ``target``; return the same array if they are equal."""
    return pixels if source is target else cv2.cvtColor(pixels, _CONVERSION[source, target])


def _ready(step: Step) -> Operation:
    if type(step) not in _MAKERS:
        raise TypeError(f"{type(step).__name__} is not a preprocessing step.")
    return _MAKERS[type(step)](step)


def _recolour(conversion: int) -> Operation:
    return lambda pixels, name: cv2.cvtColor(pixels, conversion)


def _window(step: Window) -> Operation:
    # A table of all 65536 levels gives the same numbers as float64 arithmetic on every pixel, in half the memory.
    levels = np.arange(1 << 16, dtype=np.float64)
    table = np.clip(np.rint((levels - step.low) * (255.0 / (step.high - step.low))), 0, 255).astype(np.uint8)
    return lambda pixels, name: np.asarray(table[pixels])


def _resize(step: Resize) -> Operation:
    return partial(_resizing(step.interpolation, step.result), width=step.width_px, height=step.height_px)


def _resize_shorter(step: ResizeShorter) -> Operation:
    resized = _resizing(step.interpolation, step.result)

    def run(pixels: Array, name: str) -> Array:
        frame = step.frame(pixels.shape[1], pixels.shape[0])
        _check_pixels(step, frame, name)
        return resized(pixels, name, *frame)

    return run


def _resizing(interpolation: Interpolation, result: PixelType) -> Callable[..., Array]:
    """Return an operation that resizes pixels to a width and height. Pixels of that size are only converted."""
    dtype, flag = _DTYPE[result], _INTERPOLATION.get(interpolation)
    if interpolation is Interpolation.LINEAR and result is PixelType.FLOAT32:
        flag = None

    def run(pixels: Array, name: str, width: int, height: int) -> Array:
        if pixels.shape[:2] == (height, width):
            return pixels.astype(dtype, copy=False)
        if flag is not None:
            return cv2.resize(pixels.astype(dtype, copy=False), (width, height), interpolation=flag)
        if interpolation is Interpolation.NEAREST:
            return _nearest(pixels.astype(dtype, copy=False), height, width)
        return _own_resize(pixels, width, height, interpolation, result)

    return run


def _own_resize(pixels: Array, width: int, height: int, interpolation: Interpolation, result: PixelType) -> Array:
    """Resize with this project's own arithmetic. Few models need it, and each import lengthens the start."""
    if interpolation is Interpolation.LINEAR:
        from edge_runtime.preprocessing.bilinear import resize_bilinear

        return resize_bilinear(pixels, width, height)
    if interpolation is Interpolation.BICUBIC:
        from edge_runtime.preprocessing.bicubic import resize_bicubic

        exact = resize_bicubic(pixels, width, height)
        return exact if result is PixelType.FLOAT32 else np.clip(np.rint(exact), 0, 255).astype(np.uint8)
    from edge_runtime.preprocessing.antialias import resize_antialiased

    return resize_antialiased(pixels.astype(np.uint8, copy=False), width, height, interpolation)


def _nearest(pixels: Array, height: int, width: int) -> Array:
    """Resize by taking the source pixel under the centre of each new pixel.

    Equal to Pillow and OpenCV 5 (INTER_NEAREST_EXACT); OpenCV 4 differs. Both accumulate the centres in float64. That
    rounding selects the pixel where a centre lies on the border of two pixels.
    """
    rows, columns = (
        np.add.accumulate(np.array([before / after / 2, *[before / after] * (after - 1)])).astype(np.intp)
        for before, after in zip(pixels.shape, (height, width), strict=False)
    )
    return np.take(np.take(pixels, rows, axis=0), columns, axis=1)


def _sharpen(step: Sharpen) -> Operation:
    dtype, border = _DTYPE[step.result], _BORDER[step.border]
    kernel = np.asarray(step.kernel, dtype=np.float32)
    return lambda pixels, name: cv2.filter2D(pixels.astype(dtype, copy=False), -1, kernel, borderType=border)


def _min_max(step: MinMax) -> Operation:
    def run(pixels: Array, name: str) -> Array:
        wide = pixels.astype(np.float32, copy=False)
        low, high = wide.min(), wide.max()
        if low == high:
            raise ImageUnsupportedError(
                f"{name}: found {low:g} in every pixel, expected an image with contrast. "
                "A min-max stretch of a blank image is undefined: check the exposure.",
                code="image_blank",
            )
        stretched = wide - low
        stretched *= np.float32((step.high - step.low) / (float(high) - float(low)))
        stretched += np.float32(step.low)
        return np.asarray(stretched)

    return run


def _letterbox(step: Letterbox) -> Operation:
    def run(pixels: Array, name: str) -> Array:
        height, width = pixels.shape[:2]
        fitted = step.fitted(width, height)
        left, top = step.corner(width, height)
        framed = np.zeros((step.height_px, step.width_px, *pixels.shape[2:]), dtype=pixels.dtype)
        place = framed[top : top + fitted[1], left : left + fitted[0]]
        scaled = cv2.resize(pixels, fitted, dst=place, interpolation=cv2.INTER_LINEAR_EXACT)
        if scaled is not place:  # OpenCV could not write into a part of the frame
            place[...] = scaled
        return framed

    return run


def _pad(step: Pad) -> Operation:
    def run(pixels: Array, name: str) -> Array:
        height, width = pixels.shape[:2]
        frame = step.frame(width, height)
        _check_pixels(step, frame, name)
        left, top = step.corner(width, height)
        padded = np.full((frame[1], frame[0], *pixels.shape[2:]), step.value, dtype=pixels.dtype)
        padded[top : top + height, left : left + width] = pixels
        return padded

    return run


def _centre_crop(step: CentreCrop) -> Operation:
    def run(pixels: Array, name: str) -> Array:
        height, width = pixels.shape[:2]
        frame, (left, top) = step.frame(width, height), step.corner(width, height)
        if frame[0] > width or frame[1] > height:
            raise ImageSizeError(
                f"{name}: found {width}x{height} px, expected at least {frame[0]}x{frame[1]} px, which the model's "
                "centre_crop keeps. Take the original image, no thumbnail.",
                code="image_too_small",
            )
        return pixels[-top : frame[1] - top, -left : frame[0] - left].copy()  # filters see an image border at its edge

    return run


def _check_pixels(step: Pad | ResizeShorter, frame: tuple[int, int], name: str) -> None:
    if frame[0] * frame[1] > MAX_PIXELS:
        raise ImageSizeError(
            f"{name}: found an image that {step.KIND} makes {frame[0]}x{frame[1]} px, expected at most {MAX_PIXELS} "
            "pixels. Crop the part to classify.",
            code="image_too_large",
        )


def _scale(step: Scale) -> Operation:
    divisor, offset = np.float32(step.divisor), np.float32(step.offset)

    def run(pixels: Array, name: str) -> Array:
        scaled = pixels.astype(np.float32, copy=False) / divisor
        if step.offset:
            scaled += offset
        return scaled

    return run


def _normalize(step: Normalize) -> Operation:
    mean, std = (np.asarray(values, dtype=np.float32) for values in (step.mean, step.std))

    def run(pixels: Array, name: str) -> Array:
        normalized = pixels.astype(np.float32, copy=False) - mean  # per channel; for H×W the mean has one value
        normalized /= std
        return normalized

    return run


_MAKERS: dict[type, Callable[[Any], Operation]] = {
    Window: _window,
    Resize: _resize,
    ResizeShorter: _resize_shorter,
    Letterbox: _letterbox,
    Pad: _pad,
    CentreCrop: _centre_crop,
    Sharpen: _sharpen,
    MinMax: _min_max,
    Scale: _scale,
    Normalize: _normalize,
}
