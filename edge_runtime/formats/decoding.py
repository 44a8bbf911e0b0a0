"""Decoding with OpenCV, which is given what carries pixels, with the decoders' own complaints taken seriously.

libjpeg complains on standard error alone: a JPEG with a damaged scan comes back as an image all the same. So that is
listened to. The other formats are decoded without it, in parallel if need be: what their decoders would complain of,
the inspectors have refused.
"""

from __future__ import annotations

import re

import cv2
import numpy as np

from edge_runtime.formats.header import Format, Header, Pixels, damaged
from edge_runtime.formats.transparency import refuse_clear_value, without_alpha
from edge_runtime.native_output import listen

__all__ = ["Pixels", "decode"]

# From libjpeg's jerror.h.
_DAMAGE = re.compile(rb"Corrupt JPEG data|Premature end of JPEG|Inconsistent progression")
_DECODER_LINE = re.compile(_DAMAGE.pattern + rb"|^\[ ?(?:WARN|ERROR):|^Invalid SOS|^Unknown Adobe|^Warning: ")


def decode(data: bytes, header: Header, name: str) -> Pixels:
    """Decode a whole file that has been inspected.

    Returns:
        uint8 or uint16 pixels by ``header.bit_depth``; grey H×W, or colour H×W×3 in the order BGR. An alpha channel
        that is opaque everywhere is dropped.

    Raises:
        ImageUnreadableError: ``image_damaged``, when the decoder gave up, complained of damage, or
            returned another shape or dtype than the header declares.
        ImageUnsupportedError: ``image_alpha``, when a pixel is not opaque.
        ImageSizeError: ``image_too_large``, when it would take too much processor time.
    """
    try:
        pixels = (
            header.decoder() if header.decoder else _with_opencv(header.stream() if header.stream else data, header)
        )
    except ValueError as error:
        raise damaged(name, header.format, str(error)) from None
    if header.alpha and pixels.ndim == 3 and pixels.shape[2] == 4:
        pixels = without_alpha(pixels, header.channels, name)
    shape = (header.height_px, header.width_px) + ((header.channels,) if header.channels > 1 else ())
    dtype = np.uint8 if header.bit_depth == 8 else np.uint16
    if pixels.shape != shape or pixels.dtype != dtype:
        found = f"it declares {shape} {np.dtype(dtype)} and decodes as {pixels.shape} {pixels.dtype}"
        raise damaged(name, header.format, found)
    if header.clear_value:
        refuse_clear_value(pixels, header.clear_value, name)
    return pixels


def _with_opencv(stream: bytes | memoryview, header: Header) -> Pixels:
    """Raise ValueError if the decoder gives up or complains."""
    said = b""
    if header.format is Format.JPEG:
        pixels, said = listen(lambda: _decode(stream), _DECODER_LINE)
    else:
        pixels = _decode(stream)
    if pixels is None:
        raise ValueError("it cannot be decoded")
    if complaint := _DAMAGE.search(said):
        raise ValueError(f"the decoder says {complaint[0].decode()!r}")
    return pixels


def _decode(stream: bytes | memoryview) -> Pixels | None:
    try:
        return cv2.imdecode(np.frombuffer(stream, np.uint8), cv2.IMREAD_UNCHANGED)  # type: ignore[return-value]
    except cv2.error:
        return None
