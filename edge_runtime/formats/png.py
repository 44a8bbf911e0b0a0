"""PNG (ISO/IEC 15948, W3C PNG third edition): every chunk is walked and every CRC verified."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator

from edge_runtime.formats.directory import exif_orientation
from edge_runtime.formats.header import Format, Header, damaged, truncated

_SIGNATURE_BYTES = 8
_GREY, _RGB, _PALETTE, _GREY_ALPHA, _RGB_ALPHA = 0, 2, 3, 4, 6
_DEPTHS = {
    _GREY: (1, 2, 4, 8, 16),
    _RGB: (8, 16),
    _PALETTE: (1, 2, 4, 8),
    _GREY_ALPHA: (8, 16),
    _RGB_ALPHA: (8, 16),
}


def inspect(data: bytes, name: str) -> Header:
    """Walk all chunks; see :func:`edge_runtime.formats.inspect`."""
    chunks: dict[bytes, bytes] = {}
    order: list[bytes] = []
    for kind, payload in _walk(data, name):
        order.append(kind)
        if kind != b"IDAT":  # the bulk; its CRC is verified and its bytes are not kept
            chunks.setdefault(kind, payload)
    if order[0] != b"IHDR" or order.count(b"IHDR") != 1 or len(chunks[b"IHDR"]) != 13:
        raise damaged(name, Format.PNG, "its first chunk is no single IHDR of 13 bytes")
    if b"IDAT" not in order:
        raise damaged(name, Format.PNG, "it has no IDAT chunk")
    return _header(chunks, name)


def _walk(data: bytes, name: str) -> Iterator[tuple[bytes, bytes]]:
    """Yield type and payload of each chunk up to IEND, which must end the file."""
    view = memoryview(data)
    at, kind = _SIGNATURE_BYTES, b""
    while kind != b"IEND":
        if at >= len(data):
            raise truncated(name, Format.PNG, f"{len(data)} bytes without an IEND chunk")
        length, kind = struct.unpack_from(">I4s", data, at)
        end = at + 8 + length
        if end + 4 > len(data):
            raise truncated(name, Format.PNG, f"chunk {kind!r} needs {end + 4} bytes of {len(data)}")
        if struct.unpack_from(">I", data, end)[0] != zlib.crc32(view[at + 4 : end]):
            raise damaged(name, Format.PNG, f"the CRC of chunk {kind!r} at byte {at} does not match")
        yield kind, b"" if kind == b"IDAT" else data[at + 8 : end]
        at = end + 4
    if at != len(data):
        raise damaged(name, Format.PNG, f"{len(data) - at} bytes follow its end")


def _header(chunks: dict[bytes, bytes], name: str) -> Header:
    width, height, depth, colour, _, _, _ = struct.unpack(">IIBBBBB", chunks[b"IHDR"])
    if not (width and height) or depth not in _DEPTHS.get(colour, ()):
        raise damaged(name, Format.PNG, f"IHDR declares {width}x{height}, {depth} bits, colour type {colour}")
    try:
        orientation = exif_orientation(chunks[b"eXIf"]) if b"eXIf" in chunks else 1
    except ValueError as error:
        raise damaged(name, Format.PNG, str(error)) from None
    return Header(
        Format.PNG,
        width,
        height,
        channels=3 if colour in (_RGB, _RGB_ALPHA) else 1,
        bit_depth=depth,
        palette=colour == _PALETTE,
        alpha=colour in (_GREY_ALPHA, _RGB_ALPHA) or b"tRNS" in chunks,
        orientation=orientation,
        frames=_frames(chunks.get(b"acTL")),
    )


def _frames(control: bytes | None) -> int:
    """At least 2 for any animation: even one frame may differ from the picture for other viewers."""
    return 1 if control is None else max(2, *struct.unpack_from(">I", control))
