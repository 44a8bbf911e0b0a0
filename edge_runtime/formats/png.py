"""PNG (ISO/IEC 15948, W3C PNG third edition): every chunk is walked, and OpenCV is given IHDR, IDAT and IEND alone.

libpng inflates and keeps texts, profiles and unknown chunks, some of them a thousand times as long as the file. None
of them changes a pixel that is taken: gAMA, cHRM, iCCP, sRGB, cICP and sBIT say how to show the values, bKGD what to
show behind transparency, and PLTE suggests colours, since images with a palette are refused.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from importlib import import_module
from typing import NamedTuple

from edge_runtime.formats.directory import MAX_EXIF_BLOCKS, exif_orientation
from edge_runtime.formats.header import MAX_PARTS, Format, Header, Pixels, damaged, too_many_parts, truncated

_HEAD = slice(0, 33)  # signature and IHDR
_END = b"\0\0\0\0IEND\xae\x42\x60\x82"
_GREY, _RGB, _PALETTE, _GREY_ALPHA, _RGB_ALPHA = 0, 2, 3, 4, 6
_DEPTHS = {
    _GREY: (1, 2, 4, 8, 16),
    _RGB: (8, 16),
    _PALETTE: (1, 2, 4, 8),
    _GREY_ALPHA: (8, 16),
    _RGB_ALPHA: (8, 16),
}
_CRITICAL = (b"IHDR", b"PLTE", b"IDAT", b"IEND")
_ONCE = frozenset({b"IHDR", b"PLTE", b"tRNS"})
_ANCILLARY = (b"tRNS", b"eXIf", b"acTL")  # those that are read
_AT_ONCE_IN, _AT_ONCE_OUT = 1 << 18, 1 << 26
"""Bytes of IDAT, and of rows, up to which libpng decodes the stream itself. It inflates what follows the last row to
its end and drops it: a gigabyte of it takes two seconds, and comes out of one megabyte."""


class _Chunk(NamedTuple):
    kind: bytes
    at: int
    end: int
    payload: memoryview


@dataclass
class _Findings:
    """What the walk has met so far; of IDAT, which must stand in one run, where the run begins and ends."""

    payloads: dict[bytes, memoryview] = field(default_factory=dict)
    pieces: list[memoryview] = field(default_factory=list)
    start: int = 0
    stop: int = 0
    exif_blocks: int = 0
    orientation: int = 1
    animated: bool = False


def inspect(data: bytes, name: str) -> Header:
    """Walk all chunks; see :func:`edge_runtime.formats.inspect`."""
    found = _Findings()
    for chunk in _walk(data, name):
        if (chunk.kind == b"IHDR") is bool(found.payloads) or chunk.kind in found.payloads:
            raise damaged(name, Format.PNG, f"chunk {chunk.kind!r} stands twice or before IHDR")
        _note(found, chunk, name)
    if len(found.payloads[b"IHDR"]) != 13:
        raise damaged(name, Format.PNG, "its IHDR chunk has no 13 bytes")
    if not found.pieces:
        raise damaged(name, Format.PNG, "it has no IDAT chunk")
    return _header(data, found, name)


def _walk(data: bytes, name: str) -> Iterator[_Chunk]:
    """Yield each chunk up to IEND, which must end the file."""
    view = memoryview(data)
    at, kind, count = 8, b"", 0
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
        if not kind.isalpha() or (kind[0] < 0x60 and kind not in _CRITICAL):
            raise damaged(name, Format.PNG, f"the chunk at byte {at} is of the unknown kind {kind!r}")
        checked = struct.unpack_from(">I", data, end)[0] == zlib.crc32(view[at + 4 : end])
        if not checked and _matters(kind, data, at + 8, end):
            raise damaged(name, Format.PNG, f"the CRC of chunk {kind!r} at byte {at} does not match")
        yield _Chunk(kind, at, end + 4, view[at + 8 : end])
        at = end + 4
    if at != len(data):
        raise damaged(name, Format.PNG, f"{len(data) - at} bytes follow its end")


def _matters(kind: bytes, data: bytes, start: int, end: int) -> bool:
    """Whether a wrong CRC in such a chunk may change the pixels; damaged metadata costs no image.

    It may if the chunk is read, if it was one that is read before a bit of its name flipped, or if it has swallowed
    such a chunk. EXIF is read whatever its CRC: its orientation either can be read or says nothing.
    """
    flipped = [int.from_bytes(kind, "big") ^ int.from_bytes(meant, "big") for meant in (*_CRITICAL, *_ANCILLARY)]
    if any(bits.bit_count() == 1 for bits in flipped) or (0 in flipped and kind != b"eXIf"):
        return True
    return any(data.find(meant, start, end) >= 0 for meant in _ANCILLARY)


def _note(found: _Findings, chunk: _Chunk, name: str) -> None:
    if chunk.kind == b"IDAT":
        if found.pieces and chunk.at != found.stop:  # libpng stops at the gap, others read on
            raise damaged(name, Format.PNG, "other chunks stand between its IDAT chunks")
        found.start = found.start or chunk.at
        found.stop = chunk.end
        found.pieces.append(chunk.payload)
    elif chunk.kind in _ONCE:
        if found.pieces:
            raise damaged(name, Format.PNG, f"its chunk {chunk.kind!r} follows the pixels")
        found.payloads[chunk.kind] = chunk.payload
    elif chunk.kind == b"eXIf":
        found.exif_blocks += 1
        if found.exif_blocks > MAX_EXIF_BLOCKS:
            raise damaged(name, Format.PNG, f"it has more than {MAX_EXIF_BLOCKS} EXIF blocks")
        if found.orientation == 1:
            found.orientation = exif_orientation(chunk.payload)
    elif chunk.kind == b"acTL":
        found.animated = True


def _header(data: bytes, found: _Findings, name: str) -> Header:
    width, height, depth, colour, *methods = struct.unpack(">IIBBBBB", found.payloads[b"IHDR"])
    if not (width and height) or depth not in _DEPTHS.get(colour, ()) or methods not in ([0, 0, 0], [0, 0, 1]):
        declared = f"{width}x{height}, {depth} bits, colour type {colour}, methods {methods}"
        raise damaged(name, Format.PNG, f"IHDR declares {declared}")
    channels = 3 if colour in (_RGB, _RGB_ALPHA) else 1
    alpha = colour in (_GREY_ALPHA, _RGB_ALPHA)
    row_bytes = width * (channels + alpha) * depth // 8
    by_rows = sum(map(len, found.pieces)) > _AT_ONCE_IN or row_bytes * height > _AT_ONCE_OUT
    return Header(
        Format.PNG,
        width,
        height,
        channels=channels,
        bit_depth=depth,
        palette=colour == _PALETTE,
        alpha=alpha,
        clear_value=_clear_value(found.payloads.get(b"tRNS"), colour, depth, name),
        orientation=found.orientation,
        # For any animation: even one frame may differ from the picture for other viewers.
        frames=2 if found.animated else 1,
        stream=partial(_essential, data, found.start, found.stop),
        decoder=partial(_decode_rows, data, tuple(found.pieces), name) if by_rows else None,
    )


def _clear_value(payload: memoryview | None, colour: int, depth: int, name: str) -> tuple[int, ...] | None:
    """The value that a tRNS chunk declares transparent; a palette is refused with or without it."""
    if payload is None or colour == _PALETTE:
        return None
    values = {_GREY: 1, _RGB: 3}.get(colour, 0)
    if not values or len(payload) != 2 * values:
        raise damaged(name, Format.PNG, f"its tRNS chunk has {len(payload)} bytes for colour type {colour}")
    clear = struct.unpack(f">{values}H", payload)
    if max(clear) >> depth:  # some readers drop the upper bits, others find no such pixel
        raise damaged(name, Format.PNG, f"its tRNS chunk names the value {max(clear)}, of {depth} bits")
    return clear


def _essential(data: bytes, start: int, stop: int) -> bytes | memoryview:
    """The file without what carries no pixels; the file itself, not copied, if it has nothing else."""
    if start == _HEAD.stop and stop + len(_END) == len(data):
        return data
    view = memoryview(data)
    return b"".join((view[_HEAD], view[start:stop], _END))


def _decode_rows(data: bytes, pieces: tuple[memoryview, ...], name: str) -> Pixels:
    found: Pixels = import_module("edge_runtime.formats.png_rows").decode(data, pieces, name)
    return found
