"""Drop an alpha channel if every pixel is opaque; reject other images with transparency.

The appearance of a transparent pixel depends on the background, which is not in the file. The grey or colour values of
an opaque image are used as stored.
"""

from __future__ import annotations

import cv2
import numpy as np

from edge_runtime.errors import ImageUnsupportedError
from edge_runtime.images.formats.header import Header, Pixels, not_taken

_ALPHA = 3


def transparency(name: str, found: str) -> ImageUnsupportedError:
    """Return the error for an image with pixels that are not opaque, or may not be."""
    remedy = "every pixel opaque; flatten it on the background that its readers see and save it again"
    return not_taken(name, found, remedy, "image_alpha")


def opaque(pixels: Pixels, header: Header, name: str) -> Pixels:
    """Drop the alpha channel of an opaque image.

    Args:
        pixels: pixels from OpenCV: BGRA for an image with an alpha channel, with grey in B, G and R; BGR or grey for an
            image with one transparent colour.
        header: the file's header.
        name: name in error messages.

    Returns:
        BGR or grey, with the values as stored. Pixels of another shape than declared are returned unchanged.

    Raises:
        ImageUnsupportedError: ``image_alpha``, if a pixel is not opaque.
    """
    if header.transparent is not None:
        wanted = header.transparent[::-1]
        if pixels.ndim == (3 if len(wanted) == 3 else 2) and cv2.inRange(pixels, wanted, wanted).any():
            raise transparency(name, f"pixels of the transparent colour {header.transparent}")
        return pixels
    if pixels.ndim != 3 or pixels.shape[2] != _ALPHA + 1:
        return pixels
    return without_alpha(pixels, header.channels, name)


def without_alpha(pixels: Pixels, channels: int, name: str) -> Pixels:
    """Drop the last channel of BGRA pixels; return BGR for 3 ``channels``, or grey for 1, where B, G and R are equal.

    Raises:
        ImageUnsupportedError: ``image_alpha``, if a pixel is not opaque.
    """
    least = int(pixels[..., _ALPHA].min())
    if least != np.iinfo(pixels.dtype).max:
        raise transparency(name, f"transparency (an alpha value of {least})")
    if channels == 1:
        return cv2.extractChannel(pixels, 0)  # type: ignore[return-value]
    return cv2.cvtColor(pixels, cv2.COLOR_BGRA2BGR)  # type: ignore[return-value]
