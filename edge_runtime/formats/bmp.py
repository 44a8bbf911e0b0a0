"""BMP with a Windows header (BITMAPINFOHEADER and its successors). It has no checksum."""

from __future__ import annotations

import struct
from functools import partial

import cv2
import numpy as np

from edge_runtime.formats.header import Format, Header, Pixels, damaged, not_taken, transparent, truncated

_FILE_HEADER_BYTES = 14
_INFO_HEADER_BYTES = frozenset({40, 52, 56, 108, 124})
_UNCOMPRESSED, _MASKED = 0, 3
_MASKS = (0xFF0000, 0xFF00, 0xFF)  # red, green, blue: the order of uncompressed pixels
_ALPHA_MASK = 0xFF000000
_RAMP = bytes(range(256))


def inspect(data: bytes, name: str) -> Header:
    """Check that the headers agree with the length; see :func:`edge_runtime.formats.inspect`."""
    declared, pixels_at, info = struct.unpack_from("<I4xII", data, 2)
    if info == 12:
        raise not_taken(name, "a BMP file with an OS/2 header", "a Windows header; save it as PNG")
    if info not in _INFO_HEADER_BYTES:
        raise damaged(name, Format.BMP, f"its information header has {info} bytes")
    width, height, planes, bits, compression, colours = struct.unpack_from("<iiHHI12xI", data, 18)
    height, top_first = abs(height), height < 0
    if width < 1 or height < 1 or planes != 1 or bits not in (1, 4, 8, 16, 24, 32):
        raise damaged(name, Format.BMP, f"it declares {width}x{height}, {planes} planes, {bits} bits")
    # Those of 16 bits are refused anyway.
    if compression != _UNCOMPRESSED and bits != 16 and (bits, compression) != (32, _MASKED):
        raise not_taken(name, f"a BMP file of compression {compression}", "uncompressed BMP; save it as PNG")
    if pixels_at < _FILE_HEADER_BYTES + info:
        raise damaged(name, Format.BMP, f"its pixels begin at byte {pixels_at}, inside the header")
    needed = pixels_at + (width * bits + 31) // 32 * 4 * height
    if len(data) < max(needed, declared):
        raise truncated(name, Format.BMP, f"{len(data)} bytes of {max(needed, declared)}")
    decoder = None
    if bits == 32:
        declares_alpha = compression == _MASKED and _has_alpha_mask(data, info, pixels_at, name)
        decoder = partial(_decode_32_bits, data, pixels_at, (height, width), top_first, declares_alpha, name)
    table = data[_FILE_HEADER_BYTES + info : pixels_at]
    return Header(
        Format.BMP,
        width,
        height,
        channels=1 if bits <= 8 else 3,
        bit_depth=5 if bits == 16 else 8,
        palette=bits < 8 or (bits == 8 and not _is_grey(table, colours)),
        alpha=bits == 32,
        decoder=decoder,
    )


def _is_grey(table: bytes, colours: int) -> bool:
    """Whether the colour table maps each of 256 values to itself, which is how BMP stores grey."""
    entries = table[:1024]
    return colours in (0, 256) and all(entries[channel::4] == _RAMP for channel in range(3))


def _has_alpha_mask(data: bytes, info: int, pixels_at: int, name: str) -> bool:
    """Whether the fourth byte is called alpha; other masks than the usual ones are refused."""
    masks_at = _FILE_HEADER_BYTES + 40
    if pixels_at < masks_at + 12:
        raise damaged(name, Format.BMP, f"its pixels begin at byte {pixels_at}, inside the masks")
    masks = struct.unpack_from("<III", data, masks_at)
    alpha = struct.unpack_from("<I", data, masks_at + 12)[0] if info >= 56 else 0
    if masks != _MASKS or alpha not in (0, _ALPHA_MASK):
        found = "a BMP file with masks " + ", ".join(f"{mask:08X}" for mask in (*masks, alpha))
        raise not_taken(name, found, "blue, green and red of 8 bits each; save it as PNG")
    return bool(alpha)


def _decode_32_bits(
    data: bytes, pixels_at: int, shape: tuple[int, int], top_first: bool, declares_alpha: bool, name: str
) -> Pixels:
    """Drop the fourth byte where no reader shows transparency: it is 255, or 0 and nowhere called alpha."""
    values = np.frombuffer(data, np.uint8, 4 * shape[0] * shape[1], pixels_at).reshape(*shape, 4)
    least, most = int(values[..., 3].min()), int(values[..., 3].max())
    if (least, most) != (255, 255) and ((least, most) != (0, 0) or declares_alpha):
        raise transparent(name)
    pixels: Pixels = cv2.cvtColor(values if top_first else values[::-1], cv2.COLOR_BGRA2BGR)  # type: ignore[assignment]
    return pixels
