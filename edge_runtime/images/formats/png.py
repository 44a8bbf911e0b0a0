"""Inspector for PNG (ISO/IEC 15948, W3C PNG third edition): read all chunks, and verify the CRCs of those used."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from importlib import import_module

from edge_runtime.images.formats.header import (
    MAX_PARTS,
    MAX_PIXELS,
    Header,
    ImageFormat,
    OpenCV,
    Part,
    Pixels,
    damaged,
    joined,
    not_taken,
    too_many_parts,
    truncated,
)

_SIGNATURE_BYTES = 8
_LENGTH_AND_TYPE, _CRC, _SIZE_DEPTH_COLOUR = struct.Struct(">I4s"), struct.Struct(">I"), struct.Struct(">IIBB")
_METHODS = b"\0\0\0", b"\0\0\1"  # of compression, filter and interlace
_GREY, _RGB, _PALETTE, _GREY_ALPHA, _RGB_ALPHA = 0, 2, 3, 4, 6
_AT_ONCE_IN, _AT_ONCE_OUT = 1 << 19, 1 << 26
"""Largest IDAT data and pixels, in bytes, that libpng decodes itself. libpng also inflates surplus data after the last
row: half a megabyte can hold half a gigabyte of it, which takes one second."""
_HEAD_BYTES = 1024  # a palette has 768 bytes; other chunks that are read are shorter
_ANIMATION = frozenset({b"acTL", b"fcTL", b"fdAT"})
_READ = frozenset({b"IHDR", b"tRNS", b"PLTE"})
_PIXELS = frozenset({b"IHDR", b"PLTE", b"IDAT", b"IEND"})
_MEANT = _READ | _PIXELS | _ANIMATION
_DEPTHS = {
    _GREY: (1, 2, 4, 8, 16),
    _RGB: (8, 16),
    _PALETTE: (1, 2, 4, 8),
    _GREY_ALPHA: (8, 16),
    _RGB_ALPHA: (8, 16),
}


def inspect(data: bytes, name: str) -> Header:
    """Read all chunks; see :func:`edge_runtime.images.formats.inspect`."""
    chunks: dict[bytes, bytes] = {}
    pieces: list[tuple[int, int]] = []
    frames = 1
    spans, orientation, before = [(0, _SIGNATURE_BYTES)], 1, b""
    for kind, start, end in _walk(data, name):
        if (kind == b"IHDR") is bool(chunks) or kind in chunks:
            raise damaged(name, ImageFormat.PNG, f"chunk {kind!r} occurs twice or before IHDR")
        if kind in _PIXELS:
            spans.append((start - 8, end + 4))
        elif kind[:1].isupper():  # the standard forbids readers to show such a file
            raise not_taken(name, f"a PNG file with the unknown critical chunk {kind!r}", "none; save it as plain PNG")
        if kind == b"IDAT":
            if pieces and before != b"IDAT":
                raise damaged(name, ImageFormat.PNG, "other chunks stand between its IDAT chunks")
            pieces.append((start, end))
        elif kind in _READ:
            chunks[kind] = data[start : min(end, start + _HEAD_BYTES)]
        elif kind in _ANIMATION:
            frames = 2  # other viewers may show a different image, even with one frame
        elif kind == b"eXIf" and orientation == 1:
            from edge_runtime.images.formats import directory  # imported here: few files have it

            orientation = directory.exif_orientation(data[start : min(end, start + directory.MAX_EXIF_BYTES)])
        before = kind
    if len(chunks[b"IHDR"]) != 13:
        raise damaged(name, ImageFormat.PNG, "its IHDR chunk has no 13 bytes")
    if not pieces:
        raise damaged(name, ImageFormat.PNG, "it has no IDAT chunk")
    header = _header(chunks, orientation, frames, joined(spans, len(data)), name)
    return _by_rows(data, header, pieces, name)


def _walk(data: bytes, name: str) -> Iterator[tuple[bytes, int, int]]:
    """Yield type, and start and end of the payload, of each chunk up to IEND, which must end the file."""
    view = memoryview(data)
    at, kind, count = _SIGNATURE_BYTES, b"", 0
    while kind != b"IEND":
        count += 1
        if count > MAX_PARTS:
            raise too_many_parts(name, ImageFormat.PNG)
        if at >= len(data):
            raise truncated(name, ImageFormat.PNG, f"{len(data)} bytes without an IEND chunk")
        length, kind = _LENGTH_AND_TYPE.unpack_from(data, at)
        start, end = at + 8, at + 8 + length
        if end + 4 > len(data):
            raise truncated(name, ImageFormat.PNG, f"chunk {kind!r} needs {end + 4} bytes of {len(data)}")
        checked = _CRC.unpack_from(data, end)[0] == zlib.crc32(view[at + 4 : end])
        if not checked and (kind[:1].isupper() or _matters(kind, data, start, end)):
            raise damaged(name, ImageFormat.PNG, f"the CRC of chunk {kind!r} at byte {at} does not match")
        yield kind, start, end
        at = end + 4
    if at != len(data):
        raise damaged(name, ImageFormat.PNG, f"{len(data) - at} bytes follow its end")


def _matters(kind: bytes, data: bytes, start: int, end: int) -> bool:
    """Return whether a wrong CRC in such a chunk may change the image; damaged metadata is accepted.

    It may if the chunk is read, if its name differs by one bit from that of a chunk that is read, or if it contains the
    name of such a chunk. EXIF is read whatever its CRC: its orientation is used if it can be read.
    """
    number = int.from_bytes(kind, "big")
    if kind in _MEANT or any((number ^ int.from_bytes(meant, "big")).bit_count() == 1 for meant in (*_MEANT, b"eXIf")):
        return True
    return not kind.isalpha() or any(data.find(meant, start, end) >= 0 for meant in (b"tRNS", b"eXIf", *_ANIMATION))


def _by_rows(data: bytes, header: Header, pieces: list[tuple[int, int]], name: str) -> Header:
    """Return a header that decodes a large image in bands; see :mod:`edge_runtime.images.formats.png_rows`."""
    in_bytes = sum(end - start for start, end in pieces)
    if header.palette or header.bit_depth < 8 or header.pixels > MAX_PIXELS:
        return header
    if in_bytes <= _AT_ONCE_IN and header.decoded_bytes <= _AT_ONCE_OUT:
        return header

    def decode(opencv: OpenCV) -> Pixels:
        rows, view = import_module("edge_runtime.images.formats.png_rows"), memoryview(data)
        found: Pixels = rows.decode(data, tuple(view[start:end] for start, end in pieces), name, opencv)
        return found

    return header._replace(parts=(), decoder=decode)


def _header(chunks: dict[bytes, bytes], orientation: int, frames: int, parts: tuple[Part, ...], name: str) -> Header:
    width, height, depth, colour = _SIZE_DEPTH_COLOUR.unpack_from(chunks[b"IHDR"])
    if not (width and height) or depth not in _DEPTHS.get(colour, ()) or chunks[b"IHDR"][10:] not in _METHODS:
        raise damaged(name, ImageFormat.PNG, f"IHDR declares {width}x{height}, {depth} bits, colour type {colour}")
    return Header(
        ImageFormat.PNG,
        width,
        height,
        channels=3 if colour in (_RGB, _RGB_ALPHA) else 1,
        bit_depth=depth,
        palette=colour == _PALETTE,
        alpha=colour in (_GREY_ALPHA, _RGB_ALPHA),
        transparent=_transparent(chunks, colour, depth, name) if b"tRNS" in chunks else None,
        orientation=orientation,
        frames=frames,
        parts=parts,
    )


def _transparent(chunks: dict[bytes, bytes], colour: int, depth: int, name: str) -> tuple[int, ...] | None:
    """Return the transparent grey or RGB value in tRNS; the decoder does not get this chunk."""
    if colour == _PALETTE:
        return None
    samples = {_GREY: 1, _RGB: 3}.get(colour)
    if samples is None or len(chunks[b"tRNS"]) != 2 * samples:
        raise damaged(name, ImageFormat.PNG, f"a tRNS chunk of {len(chunks[b'tRNS'])} bytes with colour type {colour}")
    # Only the low bits of a sample count (PNG, third edition, 11.3.1.1).
    return tuple(value & (1 << depth) - 1 for value in struct.unpack(f">{samples}H", chunks[b"tRNS"]))
