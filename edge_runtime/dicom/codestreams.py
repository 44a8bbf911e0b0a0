"""What a compressed frame says of itself: size, loss, and whether it is whole. Nothing is decoded.

Decoders allocate what a frame says, and fill the rest of a truncated one without a word. So the headers of JPEG
(ITU-T T.81 annex B), JPEG-LS (T.87 annex C), JPEG 2000 (T.800 annex A) and High-Throughput JPEG 2000 (T.814 annex A)
are read here first.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from edge_runtime.dicom.syntaxes import Codec

_START, _SCAN, _ADOBE = 0xD8, 0xDA, 0xEE
_WITH_LOSS, _LOSSLESS, _LS = frozenset({0xC0, 0xC1, 0xC2}), 0xC3, 0xF7  # SOF0 to SOF2, SOF3, SOF55
_SIZE, _CODING, _OF_COMPONENT, _CAPABILITIES, _TILE, _END = 0x51, 0x52, 0x53, 0x50, 0x90, b"\xff\xd9"
_HIGH_THROUGHPUT = 1 << 17  # bit 15 of Pcap, counted from the most significant one as T.800 does
_MOST_BEFORE = 4096  # a JP2 header may stand before the codestream


@dataclass(frozen=True)
class Codestream:
    """What the headers of a compressed frame say.

    Attributes:
        columns, rows: size in pixels.
        samples: number of components.
        bits: precision of a value, of the first component.
        lossy: whether the coding itself loses something: a transform in floating point, a tolerance, dropped bits.
        luminance: whether its components are luminance and chroma; None where it does not say so.
        signed: whether values are signed; None where the codec does not say so.
    """

    columns: int
    rows: int
    samples: int
    bits: int
    lossy: bool
    luminance: bool | None = None
    signed: bool | None = None


def read_codestream(encoded: bytes, codec: Codec) -> Codestream | None:
    """Return what a frame says of itself; None if it is no whole frame of this codec."""
    try:
        if codec in (Codec.JPEG_2000, Codec.HTJ2K):
            return _jpeg_2000(encoded, high_throughput=codec is Codec.HTJ2K)
        return _jpeg(encoded, codec)
    except (struct.error, IndexError):
        return None


def _jpeg(encoded: bytes, codec: Codec) -> Codestream | None:
    if encoded[:2] != bytes((0xFF, _START)):
        return None
    size, bits, kind, luminance = None, 0, 0, None
    for marker, place in _segments(encoded, 2):
        if marker in _WITH_LOSS or marker in (_LOSSLESS, _LS):
            if (marker == _LS) is not (codec is Codec.JPEG_LS):
                return None
            kind, bits, size = marker, encoded[place + 4], struct.unpack_from(">HHB", encoded, place + 5)
            if encoded[place + 10 : place + 19 : 3] == b"RGB":  # the names of the components
                luminance = False
        elif marker == _ADOBE and encoded[place + 4 : place + 9] == b"Adobe":
            luminance = encoded[place + 15 : place + 16] == b"\x01"
        elif marker == _SCAN:
            if size is None:
                return None
            # Of lossless JPEG the last byte drops bits (T.81 H.1); of JPEG-LS the first one is the tolerance.
            near, _, dropped = struct.unpack_from("3B", encoded, place + 5 + 2 * encoded[place + 4])
            lossy = kind in _WITH_LOSS or bool(near if kind == _LS else dropped & 15)
            return Codestream(size[1], size[0], size[2], bits, lossy, luminance if size[2] == 3 else None)
    return None


def _jpeg_2000(encoded: bytes, *, high_throughput: bool) -> Codestream | None:
    start = encoded.find(b"\xff\x4f\xff\x51", 0, _MOST_BEFORE)
    if start < 0:
        return None
    size, depth, lossy, luminance, capabilities = None, 0, False, False, 0
    for marker, place in _segments(encoded, start + 2):
        if marker == _SIZE:
            right, bottom, left, top = struct.unpack_from(">4I", encoded, place + 6)
            size = right - left, bottom - top, int(struct.unpack_from(">H", encoded, place + 38)[0])
            depth = int(encoded[place + 40])  # the sign, and the precision less one, T.800 table A.11
        elif marker == _CAPABILITIES:
            capabilities = struct.unpack_from(">I", encoded, place + 4)[0]
        elif marker == _CODING:
            lossy |= encoded[place + 13 : place + 14] == b"\0"  # the 9-7 transform, T.800 table A.20
            luminance = encoded[place + 8 : place + 9] == b"\x01"  # the component transform, T.800 table A.17
        elif marker == _OF_COMPONENT and size is not None:
            lossy |= encoded[place + (10 if size[2] < 257 else 11) :][:1] == b"\0"
        elif marker == _TILE:
            is_whole = size is not None and _tiles_end(encoded, place)
            if size is None or not is_whole or bool(capabilities & _HIGH_THROUGHPUT) is not high_throughput:
                return None
            bits, is_signed = (depth & 0x7F) + 1, bool(depth & 0x80)
            return Codestream(*size, bits, lossy, luminance if size[2] == 3 else None, is_signed)
    return None


def _segments(encoded: bytes, place: int) -> Iterator[tuple[int, int]]:
    """Yield marker and place of each segment of a header."""
    while place + 4 <= len(encoded) and encoded[place] == 0xFF:
        if encoded[place + 1] == 0xFF:  # a fill byte
            place += 1
            continue
        yield encoded[place + 1], place
        place += 2 + int(struct.unpack_from(">H", encoded, place + 2)[0])


def _tiles_end(encoded: bytes, place: int) -> bool:
    """Return whether the tile-parts follow one another up to the end of the codestream (T.800 A.4.2, A.4.4)."""
    while encoded[place : place + 2] == bytes((0xFF, _TILE)):
        length = int(struct.unpack_from(">I", encoded, place + 6)[0])
        if length == 0:  # the last tile-part, up to the end
            return _END in encoded[-4:]
        if length < 12:
            return False
        place += length
    return encoded[place : place + 2] == _END and len(encoded) - place <= 4  # one byte pads, some write two
