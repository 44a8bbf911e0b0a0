"""PNG (ISO/IEC 15948, W3C PNG third edition): every chunk is walked and every CRC verified."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator

from edge_runtime.formats.directory import MAX_EXIF_BYTES, exif_orientation
from edge_runtime.formats.header import (
    MAX_PARTS,
    MAX_PIXELS,
    Format,
    Header,
    Part,
    damaged,
    joined,
    not_taken,
    too_many_parts,
    truncated,
)

_SIGNATURE_BYTES = 8
_GREY, _RGB, _PALETTE, _GREY_ALPHA, _RGB_ALPHA = 0, 2, 3, 4, 6
_MAX_RATIO, _FREE_BYTES, _INPUT_BYTES, _OUTPUT_BYTES = 1032, 10**9, 1 << 16, 1 << 20
"""Most that Deflate shrinks by; what libpng may inflate unchecked, a few seconds; pieces of constant memory."""
_HEAD_BYTES = 1024  # a palette has 768; no other chunk that is read is longer
_ANIMATION = frozenset({b"acTL", b"fcTL", b"fdAT"})
_READ = frozenset({b"IHDR", b"tRNS", b"PLTE"})
_PIXELS = frozenset({b"IHDR", b"PLTE", b"IDAT", b"IEND"})
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
    pieces: list[memoryview] = []
    frames = 1
    spans, at, orientation, before = [(0, _SIGNATURE_BYTES)], _SIGNATURE_BYTES, 1, b""
    for kind, payload in _walk(data, name):
        if (kind == b"IHDR") is bool(chunks) or kind in chunks:
            raise damaged(name, Format.PNG, f"chunk {kind!r} stands twice or before IHDR")
        if kind not in _PIXELS and kind[:1].isupper():  # readers must not show what they do not understand
            raise not_taken(name, f"a PNG file with the unknown critical chunk {kind!r}", "none; save it as plain PNG")
        if kind == b"IDAT":
            if pieces and before != b"IDAT":
                raise damaged(name, Format.PNG, "other chunks stand between its IDAT chunks")
            pieces.append(payload)
        elif kind in _ANIMATION:
            frames = 2  # even one frame may differ from the picture for other viewers
        elif kind in _READ:
            chunks[kind] = bytes(payload[:_HEAD_BYTES])
        elif kind == b"eXIf" and orientation == 1:
            orientation = exif_orientation(bytes(payload[:MAX_EXIF_BYTES]))
        end = at + len(payload) + 12
        if kind in _PIXELS:
            spans.append((at, end))
        at, before = end, kind
    if len(chunks[b"IHDR"]) != 13:
        raise damaged(name, Format.PNG, "its IHDR chunk has no 13 bytes")
    if not pieces:
        raise damaged(name, Format.PNG, "it has no IDAT chunk")
    header = _header(chunks, orientation, frames, joined(spans, len(data)), name)
    if header.pixels <= MAX_PIXELS and sum(map(len, pieces)) * _MAX_RATIO > _FREE_BYTES:
        _refuse_surplus(pieces, 2 * header.decoded_bytes + _OUTPUT_BYTES, name)
    return header


def _walk(data: bytes, name: str) -> Iterator[tuple[bytes, memoryview]]:
    """Yield type and payload of each chunk up to IEND, which must end the file."""
    view = memoryview(data)
    at, kind, count = _SIGNATURE_BYTES, b"", 0
    while kind != b"IEND":
        count += 1
        if count > MAX_PARTS:
            raise too_many_parts(name, Format.PNG)
        if at >= len(data):
            raise truncated(name, Format.PNG, f"{len(data)} bytes without an IEND chunk")
        length, kind = struct.unpack_from(">I4s", data, at)
        end = at + 8 + length
        if end + 4 > len(data):
            raise truncated(name, Format.PNG, f"chunk {kind!r} needs {end + 4} bytes of {len(data)}")
        if struct.unpack_from(">I", data, end)[0] != zlib.crc32(view[at + 4 : end]):
            raise damaged(name, Format.PNG, f"the CRC of chunk {kind!r} at byte {at} does not match")
        yield kind, view[at + 8 : end]
        at = end + 4
    if at != len(data):
        raise damaged(name, Format.PNG, f"{len(data) - at} bytes follow its end")


def _refuse_surplus(pieces: list[memoryview], limit: int, name: str) -> None:
    """Libpng inflates what follows the last row to its end, be it terabytes, and drops it."""
    stream, length = zlib.decompressobj(), 0
    blocks = (piece[at : at + _INPUT_BYTES] for piece in pieces for at in range(0, len(piece), _INPUT_BYTES))
    for block in blocks:
        rest: bytes | memoryview = block
        while rest and not stream.eof:
            try:
                length += len(stream.decompress(rest, _OUTPUT_BYTES))
            except zlib.error:
                return  # the decoder will say so
            if length > limit:
                raise damaged(name, Format.PNG, "it inflates to far more than its rows")
            rest = stream.unconsumed_tail


def _header(chunks: dict[bytes, bytes], orientation: int, frames: int, parts: tuple[Part, ...], name: str) -> Header:
    width, height, depth, colour, _, _, _ = struct.unpack(">IIBBBBB", chunks[b"IHDR"])
    if not (width and height) or depth not in _DEPTHS.get(colour, ()):
        raise damaged(name, Format.PNG, f"IHDR declares {width}x{height}, {depth} bits, colour type {colour}")
    return Header(
        Format.PNG,
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
    """The grey or RGB value that tRNS calls transparent; its chunk is kept from the decoder."""
    if colour == _PALETTE:
        return None
    samples = {_GREY: 1, _RGB: 3}.get(colour)
    if samples is None or len(chunks[b"tRNS"]) != 2 * samples:
        raise damaged(name, Format.PNG, f"a tRNS chunk of {len(chunks[b'tRNS'])} bytes with colour type {colour}")
    # Only the low bits of a sample count (PNG, third edition, 11.3.1.1).
    return tuple(value & (1 << depth) - 1 for value in struct.unpack(f">{samples}H", chunks[b"tRNS"]))
