"""An alpha channel is dropped where it says nothing: where every pixel is opaque. Any other is refused.

What shows through a pixel depends on the background, which the file does not hold. Of an opaque image the grey or
colour values are what is shown; they are taken as they are stored.
"""

from __future__ import annotations

import cv2
import numpy as np

from edge_runtime.errors import ImageUnsupportedError
from edge_runtime.images.formats.header import Header, Pixels, not_taken

_ALPHA = 3


def transparency(name: str, found: str) -> ImageUnsupportedError:
    """The image has pixels that are not opaque, or may have."""
    remedy = "every pixel opaque; flatten it on the background that its readers see and save it again"
    return not_taken(name, found, remedy, "image_alpha")


def opaque(pixels: Pixels, header: Header, name: str) -> Pixels:
    """Drop alpha that is opaque everywhere.

    Args:
        pixels: as OpenCV decodes them: BGRA of an image with an alpha channel, grey in all of B, G and R; BGR or
            grey of an image with one transparent colour.
        header: what the file declares.
        name: what error messages call it.

    Returns:
        BGR or grey, the values as stored. What has another shape than the header declares is returned as it is.

    Raises:
        ImageUnsupportedError: ``image_alpha``, some pixel is not opaque.
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
    """Drop the last channel of BGRA pixels: BGR for 3 channels, the values for 1, in which B, G and R are equal.

    Raises:
        ImageUnsupportedError: ``image_alpha``, some pixel is not opaque.
    """
    least = int(pixels[..., _ALPHA].min())
    if least != np.iinfo(pixels.dtype).max:
        raise transparency(name, f"transparency (an alpha value of {least})")
    if channels == 1:
        return cv2.extractChannel(pixels, 0)  # type: ignore[return-value]
    return cv2.cvtColor(pixels, cv2.COLOR_BGRA2BGR)  # type: ignore[return-value]
