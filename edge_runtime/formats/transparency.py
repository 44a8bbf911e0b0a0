"""Alpha that is opaque everywhere is no transparency: it is dropped, and no other value changes."""

from __future__ import annotations

import cv2
import numpy as np

from edge_runtime.formats.header import Pixels, transparent

_ROWS_BYTES = 1 << 20


def without_alpha(pixels: Pixels, channels: int, name: str) -> Pixels:
    """Drop an alpha channel that is opaque in every pixel.

    Args:
        pixels: H×W×4 as OpenCV decodes alpha, BGRA; of a grey image B, G and R are equal.
        channels: 1 for grey, 3 for colour.
        name: what error messages call the image.

    Returns:
        H×W or H×W×3 (BGR), of the same dtype.

    Raises:
        ImageUnsupportedError: ``image_alpha``, if a pixel is not opaque.
    """
    if int(pixels[..., 3].min()) != np.iinfo(pixels.dtype).max:
        raise transparent(name)
    if channels == 1:
        grey: Pixels = pixels[..., 0].copy()
        return grey
    colour: Pixels = cv2.cvtColor(pixels, cv2.COLOR_BGRA2BGR)  # type: ignore[assignment]
    return colour


def refuse_clear_value(pixels: Pixels, value: tuple[int, ...], name: str) -> None:
    """Raise ImageUnsupportedError (``image_alpha``) if a pixel has the value that is declared transparent.

    Args:
        pixels: H×W or H×W×3 in the order BGR.
        value: the grey value, or red, green and blue.
        name: what error messages call the image.
    """
    rows = max(1, _ROWS_BYTES // (pixels[0].nbytes or 1))
    wanted = np.array(value[::-1], pixels.dtype)
    for top in range(0, len(pixels), rows):
        same = pixels[top : top + rows] == wanted
        if (same if pixels.ndim == 2 else same.all(axis=2)).any():
            raise transparent(name)
