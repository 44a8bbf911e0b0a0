"""Decoding with OpenCV, with the decoders' own complaints taken seriously.

libjpeg complains on standard error alone: a JPEG with a damaged scan comes back as an image all the same. So that
is listened to. The other formats are decoded without it, in parallel if need be: what their decoders would complain
of, the inspectors have refused. TIFF, and large PNG, have decoders of their own.
"""

from __future__ import annotations

import re

import cv2
import numpy as np

from edge_runtime.images.formats.header import Header, ImageFormat, Pixels, damaged
from edge_runtime.images.formats.transparency import opaque
from edge_runtime.platform.machine_faults import machine_error, machine_faults
from edge_runtime.platform.stderr_capture import listen

__all__ = ["Pixels", "decode"]

# From libjpeg's jerror.h.
_DAMAGE = re.compile(rb"Corrupt JPEG data|Premature end of JPEG|Inconsistent progression")
_DECODER_LINE = re.compile(_DAMAGE.pattern + rb"|^\[ ?(?:WARN|ERROR):|^Invalid SOS|^Unknown Adobe|^Warning: ")


def decode(data: bytes, header: Header, name: str) -> Pixels:
    """Decode a whole file that has been inspected.

    Returns:
        uint8 or uint16 pixels by ``header.bit_depth``; grey H×W, or colour H×W×3 in the order BGR.

    Raises:
        ImageUnreadableError: ``image_damaged``, when the decoder gave up, complained of damage, or
            returned another shape or dtype than the header declares.
        ImageUnsupportedError: ``image_alpha``, some pixel is not opaque.
        ImageSizeError: ``image_too_large``, decoding would take too much processor time.
    """
    said, why = b"", "it cannot be decoded"
    pixels: Pixels | None = None
    if header.decoder:
        try:
            pixels = header.decoder(lambda part: _decode(part, name))
        except ValueError as error:
            why = str(error)
    elif header.format is ImageFormat.JPEG:
        pixels, said = listen(lambda: _decode(data, name), _DECODER_LINE)
    else:
        pixels = _decode(data, name)
    if pixels is None:
        with machine_faults(name):
            _check_memory(header, said)
        raise damaged(name, header.format, why)
    if complaint := _DAMAGE.search(said):
        raise damaged(name, header.format, f"the decoder says {complaint[0].decode()!r}")
    if header.alpha or header.transparent:
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


def _check_memory(header: Header, said: bytes) -> None:
    """Tell a decoder that found no memory from one that found damage; OpenCV returns nothing for both.

    Raises:
        MemoryError: the decoder says so, or what it needs at least (the pixels twice) cannot be had now either.
    """
    if b"memory" in said.lower():
        raise MemoryError
    np.empty(2 * header.decoded_bytes, np.uint8)
