"""Inspect image files before decoding: read the header, and check that the structure is complete.

Decoders are lenient: they fill the missing half of a truncated image with grey, and drop alpha, inks and orientation
without a warning. The inspectors read only the structure, in pure Python, and reject such files with an error. The
first bytes determine the format, never the file extension.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from functools import cache
from importlib import import_module

from edge_runtime.errors import ImageSizeError, ImageUnreadableError
from edge_runtime.images.formats.header import (
    MAX_PIXELS,
    MAX_WORK_S,
    MAX_WORKING_BYTES,
    Header,
    ImageFormat,
    too_much_work,
    truncated,
)

__all__ = ["MAX_PIXELS", "Header", "ImageFormat", "inspect"]

Inspector = Callable[[bytes, str], Header]

_MAGIC: tuple[tuple[bytes, ImageFormat], ...] = (
    (b"\x89PNG\r\n\x1a\n", ImageFormat.PNG),
    (b"\xff\xd8\xff", ImageFormat.JPEG),
    (b"II*\0", ImageFormat.TIFF),
    (b"MM\0*", ImageFormat.TIFF),
    (b"BM", ImageFormat.BMP),
    (b"P5", ImageFormat.PNM),
    (b"P6", ImageFormat.PNM),
    (b"RIFF", ImageFormat.WEBP),
)
_SIGNATURES = tuple(magic for magic, _ in _MAGIC)
_SIGNATURES_WITHIN = ((4, b"ftyp"), (128, b"DICM"), (344, b"n+1\0"), (344, b"ni1\0"))
"""Where ISO media, DICOM and NIfTI have their signature. The bytes before it may be those of an image."""
HEAD_BYTES = 348
"""The signature that lies furthest within a file ends there."""


def begins_as_image(head: bytes) -> bool:
    """Return whether a file with these first :data:`HEAD_BYTES` is an image, and no other file that begins as one."""
    return head.startswith(_SIGNATURES) and not any(head.startswith(mark, at) for at, mark in _SIGNATURES_WITHIN)


def inspect(data: bytes, name: str) -> Header:
    """Recognise the format of a file by its first bytes, and check its structure.

    Args:
        data: the whole file.
        name: name in error messages.

    Returns:
        The header: what the file declares about its pixels.

    Raises:
        ImageUnreadableError: ``image_empty``, ``image_truncated``, ``image_damaged``, or ``image_format`` if the bytes
            are not an image.
        ImageUnsupportedError: ``image_format`` for a format or variant that is not supported, ``image_depth`` for
            values that are not unsigned integers.
        ImageSizeError: ``image_too_large``, if decoding would require more than MAX_WORKING_BYTES or MAX_WORK_S.
    """
    if not data:
        raise ImageUnreadableError(
            f"{name}: found no bytes, expected an image. Copy or export the file again.", code="image_empty"
        )
    if not begins_as_image(data):
        from edge_runtime.images.formats.foreign import refuse_foreign  # imported here: images need none of it

        refuse_foreign(data, name)
    for magic, kind in _MAGIC:
        if data.startswith(magic):
            try:
                header = _inspector(kind)(data, name)
            except struct.error:
                raise truncated(name, kind, f"{len(data)} bytes end inside a header") from None
            _check_memory(data, header, name)
            if header.work_s > MAX_WORK_S and header.pixels <= MAX_PIXELS:
                raise too_much_work(name, header.work_s)
            return header
        if len(data) < len(magic) and magic.startswith(data):
            raise truncated(name, kind, f"{len(data)} bytes end inside the signature")
    raise ImageUnreadableError(
        f"{name}: found no image (it begins with {data[:8]!r}), expected PNG, JPEG, TIFF, BMP, PNM or WebP "
        "by content. Check that the right file was chosen.",
        code="image_format",
    )


def _check_memory(data: bytes, header: Header, name: str) -> None:
    handed = copying = len(data)
    if header.parts:  # the file's memory is released once the parts with pixels are copied
        handed = sum(len(part) if isinstance(part, bytes) else part[1] - part[0] for part in header.parts)
        copying += handed
    needed = max(copying, handed + 2 * header.decoded_bytes + header.buffer_bytes)
    # An image of more than MAX_PIXELS is rejected by the caller, with a clearer message in pixels.
    if needed > MAX_WORKING_BYTES and header.pixels <= MAX_PIXELS:
        raise ImageSizeError(
            f"{name}: found {header.width_px}x{header.height_px} px that need about {needed // 1_000_000} MB to be "
            f"decoded, expected at most {MAX_WORKING_BYTES // 1_000_000} MB. Crop the region to classify and save it "
            "as PNG.",
            code="image_too_large",
        )


@cache
def _inspector(kind: ImageFormat) -> Inspector:
    """Return the inspector of a format. Its module is imported with the first file, as most devices use one format."""
    found: Inspector = import_module(f"edge_runtime.images.formats.{kind.name.lower()}").inspect
    return found
