"""Inspector for BMP with a Windows header (BITMAPINFOHEADER and its successors). BMP has no checksum."""

from __future__ import annotations

import struct

import numpy as np

from edge_runtime.images.formats.header import MAX_PIXELS, Header, ImageFormat, damaged, not_taken, truncated
from edge_runtime.images.formats.transparency import transparency

_FILE_HEADER_BYTES = 14
_INFO_HEADER_BYTES = frozenset({40, 52, 56, 108, 124})
_UNCOMPRESSED = 0
_UNUSED, _OPAQUE = 0, 255
_RAMP = bytes(range(256))


def inspect(data: bytes, name: str) -> Header:
    """Check the headers against the file's length; see :func:`edge_runtime.images.formats.inspect`."""
    declared, pixels_at, info = struct.unpack_from("<I4xII", data, 2)
    if info == 12:
        raise not_taken(name, "a BMP file with an OS/2 header", "a Windows header; save it as PNG")
    if info not in _INFO_HEADER_BYTES:
        raise damaged(name, ImageFormat.BMP, f"its information header has {info} bytes")
    width, height, planes, bits, compression, colours = struct.unpack_from("<iiHHI12xI", data, 18)
    height = abs(height)  # negative when the top row comes first
    if width < 1 or height < 1 or planes != 1 or bits not in (1, 4, 8, 16, 24, 32):
        raise damaged(name, ImageFormat.BMP, f"it declares {width}x{height}, {planes} planes, {bits} bits")
    if compression != _UNCOMPRESSED and bits not in (16, 32):  # 16 and 32 bits are rejected below
        raise not_taken(name, f"a BMP file of compression {compression}", "uncompressed BMP; save it as PNG")
    if pixels_at < _FILE_HEADER_BYTES + info:
        raise damaged(name, ImageFormat.BMP, f"its pixels begin at byte {pixels_at}, inside the header")
    needed = pixels_at + (width * bits + 31) // 32 * 4 * height
    if len(data) < max(needed, declared):
        raise truncated(name, ImageFormat.BMP, f"{len(data)} bytes of {max(needed, declared)}")
    if bits == 32 and width * height <= MAX_PIXELS:
        if compression != _UNCOMPRESSED:
            raise transparency(name, f"a BMP file of 32 bits and compression {compression}")
        _refuse_transparency(data, pixels_at, width * height, name)
    table = data[_FILE_HEADER_BYTES + info : pixels_at]
    return Header(
        ImageFormat.BMP,
        width,
        height,
        channels=1 if bits <= 8 else 3,
        bit_depth=5 if bits == 16 else 8,
        palette=bits < 8 or (bits == 8 and not _is_grey(table, colours)),
    )


def _refuse_transparency(data: bytes, pixels_at: int, count: int, name: str) -> None:
    """Reject an image with alpha. The fourth byte is unused (0, by the specification) or alpha (255 if opaque)."""
    fourth = np.frombuffer(data, np.uint8, 4 * count, pixels_at)[3::4]
    least, most = int(fourth.min()), int(fourth.max())
    if least != most or least not in (_UNUSED, _OPAQUE):
        raise transparency(name, "a BMP file of 32 bits whose fourth byte is neither 0 nor 255 throughout")


def _is_grey(table: bytes, colours: int) -> bool:
    """Return whether the colour table maps each of 256 values to itself, as in grey BMP files."""
    entries = table[:1024]
    return colours in (0, 256) and all(entries[channel::4] == _RAMP for channel in range(3))
