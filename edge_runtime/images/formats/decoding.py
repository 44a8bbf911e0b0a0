"""Decode inspected files with OpenCV, and treat warnings of the decoders as errors.

libjpeg reports damage only on standard error, and still returns an image for a JPEG with a damaged scan. Standard error
is therefore captured for JPEG. Other formats are decoded without capture, in parallel if required, as the inspectors
have already rejected damaged files. TIFF and large PNG have their own decoders.
"""

from __future__ import annotations

import re

import cv2
import numpy as np

from edge_runtime.images.formats.header import Header, ImageFormat, Pixels, damaged
from edge_runtime.platform.machine_faults import machine_error, machine_faults
from edge_runtime.platform.stderr_capture import listen

__all__ = ["Pixels", "decode"]

# From libjpeg's jerror.h.
_DAMAGE = rb"Corrupt JPEG data|Premature end of JPEG|Inconsistent progression"
_DECODER_LINE = _DAMAGE + rb"|^\[ ?(?:WARN|ERROR):|^Invalid SOS|^Unknown Adobe|^Warning: "


def decode(data: bytes, header: Header, name: str) -> Pixels:
    """Decode a file that has been inspected.

    Args:
        data: the bytes from :func:`for_decoder`.
        header: the result of the inspection.
        name: name in error messages.

    Returns:
        uint8 or uint16 pixels, depending on ``header.bit_depth``; grey H×W, or colour H×W×3 in the order BGR.

    Raises:
        ImageUnreadableError: ``image_damaged``, if the decoder failed, reported damage, or returned another shape or
            dtype than the header declares.
        ImageUnsupportedError: ``image_alpha``, if a pixel is not opaque.
        ImageSizeError: ``image_too_large``, if decoding would take too much processor time.
    """
    log, why = b"", "it cannot be decoded"
    pixels: Pixels | None = None
    if header.decoder:
        try:
            pixels = header.decoder(lambda part: _decode(part, name))
        except ValueError as error:
            why = str(error)
    elif header.format is ImageFormat.JPEG:
        pixels, log = listen(lambda: _decode(data, name), _DECODER_LINE)
    else:
        pixels = _decode(data, name)
    if pixels is None:
        with machine_faults(name):
            _check_memory(header, log)
        raise damaged(name, header.format, why)
    if log and (warning := re.search(_DAMAGE, log)):
        raise damaged(name, header.format, f"the decoder reports {warning[0].decode()!r}")
    if header.alpha or header.transparent:
        from edge_runtime.images.formats.transparency import opaque  # imported here: few images have an alpha channel

        pixels = opaque(pixels, header, name)
    shape = (header.height_px, header.width_px) + ((header.channels,) if header.channels > 1 else ())
    dtype = np.uint8 if header.bit_depth == 8 else np.uint16
    if pixels.shape != shape or pixels.dtype != dtype:
        found = f"it declares {shape} {np.dtype(dtype)} and decodes as {pixels.shape} {pixels.dtype}"
        raise damaged(name, header.format, found)
    return pixels


def _decode(data: bytes, name: str) -> Pixels | None:
    try:
        return cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)  # type: ignore[return-value]
    except cv2.error as error:
        if fault := machine_error(error, name):
            raise fault from None
        return None


def _check_memory(header: Header, log: bytes) -> None:
    """Check whether a decoder failed for lack of memory; OpenCV returns None for this and for damage.

    Raises:
        MemoryError: the decoder's log reports it, or its minimum (the pixels twice) cannot be allocated now.
    """
    if b"memory" in log.lower():
        raise MemoryError
    np.empty(2 * header.decoded_bytes, np.uint8)
