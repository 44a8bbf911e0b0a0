"""BMP with a Windows header (BITMAPINFOHEADER and its successors). It has no checksum."""

from __future__ import annotations

import struct

from edge_runtime.formats.header import Format, Header, damaged, not_taken, truncated

_FILE_HEADER_BYTES = 14
_INFO_HEADER_BYTES = frozenset({40, 52, 56, 108, 124})
_UNCOMPRESSED = 0
_RAMP = bytes(range(256))


def inspect(data: bytes, name: str) -> Header:
    """Check that the headers agree with the length; see :func:`edge_runtime.formats.inspect`."""
    declared, pixels_at, info = struct.unpack_from("<I4xII", data, 2)
    if info == 12:
        raise not_taken(name, "a BMP file with an OS/2 header", "a Windows header; save it as PNG")
    if info not in _INFO_HEADER_BYTES:
        raise damaged(name, Format.BMP, f"its information header has {info} bytes")
    width, height, planes, bits, compression, colours = struct.unpack_from("<iiHHI12xI", data, 18)
    height = abs(height)  # negative when the top row comes first
    if width < 1 or height < 1 or planes != 1 or bits not in (1, 4, 8, 16, 24, 32):
        raise damaged(name, Format.BMP, f"it declares {width}x{height}, {planes} planes, {bits} bits")
    if compression != _UNCOMPRESSED and bits not in (16, 32):  # those two are refused below anyway
        raise not_taken(name, f"a BMP file of compression {compression}", "uncompressed BMP; save it as PNG")
    if pixels_at < _FILE_HEADER_BYTES + info:
        raise damaged(name, Format.BMP, f"its pixels begin at byte {pixels_at}, inside the header")
    needed = pixels_at + (width * bits + 31) // 32 * 4 * height
    if len(data) < max(needed, declared):
        raise truncated(name, Format.BMP, f"{len(data)} bytes of {max(needed, declared)}")
    table = data[_FILE_HEADER_BYTES + info : pixels_at]
    return Header(
        Format.BMP,
        width,
        height,
        channels=1 if bits <= 8 else 3,
        bit_depth=5 if bits == 16 else 8,
        palette=bits < 8 or (bits == 8 and not _is_grey(table, colours)),
        # The fourth byte is alpha for some programs and padding for others: it cannot be told which.
        alpha=bits == 32,
    )


def _is_grey(table: bytes, colours: int) -> bool:
    """Whether the colour table maps each of 256 values to itself, which is how BMP stores grey."""
    entries = table[:1024]
    return colours in (0, 256) and all(entries[channel::4] == _RAMP for channel in range(3))
