"""WebP (RIFF container, RFC 9649): chunks are walked against the sizes, and OpenCV is given the image's alone.

It has no checksum. Profiles, EXIF, XMP and unknown chunks are left out of what is decoded.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from functools import partial

from edge_runtime.formats.directory import MAX_EXIF_BLOCKS, exif_orientation
from edge_runtime.formats.header import MAX_PARTS, Format, Header, damaged, not_taken, too_many_parts, truncated

_ANIMATION, _ALPHA = 0x02, 0x10  # flags of the VP8X chunk
_KEY_FRAME_START = b"\x9d\x01\x2a"
_LOSSLESS_SIGNATURE = 0x2F
_IMAGE = (b"VP8X", b"ALPH", b"VP8 ", b"VP8L")  # in this order
_ORDER = {b"VP8X": 0, b"ALPH": 1, b"VP8 ": 2, b"VP8L": 2}
_S_PER_PIXEL, _S_PER_BYTE, _S_PER_LOSSLESS_BYTE = 10e-9, 60e-9, 20e-9
"""Processor time of libwebp 1.6, see ``header.MAX_WORK_S``."""

_MOST_GROUPS, _GROUP_BYTES = 1 << 16, 5600


def inspect(data: bytes, name: str) -> Header:
    """Walk all chunks; see :func:`edge_runtime.formats.inspect`."""
    size, form = struct.unpack_from("<I4s", data, 4)
    if form != b"WEBP":
        raise not_taken(name, f"a RIFF file of form {form!r}", "WebP, PNG or JPEG; save one picture as PNG")
    if len(data) < size + 8:
        raise truncated(name, Format.WEBP, f"{len(data)} bytes of {size + 8}")
    if len(data) > size + 8:
        raise damaged(name, Format.WEBP, f"{len(data) - size - 8} bytes follow its end")
    chunks: dict[bytes, memoryview] = {}
    animation_frames, exif_blocks, orientation = 0, 0, 1
    for kind, payload in _walk(data, name):
        if kind in _IMAGE:
            _add(chunks, kind, payload, name)
        elif kind == b"ANMF":
            animation_frames += 1
        elif kind == b"EXIF" and orientation == 1:
            exif_blocks += 1
            if exif_blocks > MAX_EXIF_BLOCKS:
                raise damaged(name, Format.WEBP, f"it has more than {MAX_EXIF_BLOCKS} EXIF blocks")
            orientation = exif_orientation(payload)
    return _header(chunks, animation_frames, orientation, name)


def _walk(data: bytes, name: str) -> Iterator[tuple[bytes, memoryview]]:
    view = memoryview(data)
    at, count = 12, 0
    while at < len(data):
        count += 1
        if count > MAX_PARTS:
            raise too_many_parts(name, Format.WEBP)
        kind, length = struct.unpack_from("<4sI", data, at)
        if at + 8 + length > len(data):
            raise truncated(name, Format.WEBP, f"chunk {kind!r} at byte {at} needs {length} bytes")
        yield kind, view[at + 8 : at + 8 + length]
        at += 8 + length + length % 2


def _add(chunks: dict[bytes, memoryview], kind: bytes, payload: memoryview, name: str) -> None:
    """Readers differ in which of two images they show, and in whether they take chunks out of their order."""
    if any(_ORDER[other] >= _ORDER[kind] for other in chunks) or (kind == b"VP8L" and b"ALPH" in chunks):
        met = ", ".join(repr(other) for other in chunks)
        found = f"a WebP file in which {kind!r} follows {met}, so that readers differ in what they show"
        raise not_taken(name, found, "one image, its chunks in order; save the image to classify as PNG")
    chunks[kind] = payload


def _header(chunks: dict[bytes, memoryview], animation_frames: int, orientation: int, name: str) -> Header:
    extended = chunks.get(b"VP8X", b"")
    flags = extended[0] if extended else 0
    if flags & _ANIMATION or animation_frames:
        # Even one frame may differ from what other viewers show.
        frames, alpha = max(2, animation_frames), False
        width, height = _canvas(extended)
    else:
        width, height, alpha = _bitstream(chunks, name)
        if extended and _canvas(extended) != (width, height):
            raise damaged(name, Format.WEBP, "its canvas and its picture differ in size")
        frames = 1
    lossless = b"VP8L" in chunks
    coded = sum(map(len, chunks.values()))
    work = width * height * (1 + (b"ALPH" in chunks)) * _S_PER_PIXEL
    return Header(
        Format.WEBP,
        width,
        height,
        channels=3,
        bit_depth=8,
        alpha=alpha,
        orientation=orientation,
        frames=frames,
        # What is decoded is a copy.
        buffer_bytes=coded + (_table_bytes(width * height, coded) + width * height // 2 if lossless else 0),
        work_s=work + coded * (_S_PER_LOSSLESS_BYTE if lossless else _S_PER_BYTE),
        stream=partial(_essential, chunks),
    )


def _table_bytes(pixels: int, coded: int) -> int:
    """Most that libwebp keeps for the Huffman codes of a lossless image.

    Each block of 4x4 pixels may have five codes of its own, described in no more than 20 bits. How many there are is
    only known after decoding; encoders use some 2,600 at most.
    """
    return min(_MOST_GROUPS, pixels // 16, coded * 8 // 20) * _GROUP_BYTES


def _canvas(extended: bytes | memoryview) -> tuple[int, int]:
    """Width and height of a VP8X chunk, both stored as 24 bits less one."""
    struct.unpack_from("10x", extended)
    return int.from_bytes(extended[4:7], "little") + 1, int.from_bytes(extended[7:10], "little") + 1


def _bitstream(chunks: dict[bytes, memoryview], name: str) -> tuple[int, int, bool]:
    """Width, height and alpha of the one picture."""
    if b"VP8 " in chunks:
        tag, start, width, height = struct.unpack_from("<B2x3sHH", chunks[b"VP8 "])
        if tag & 1 or start != _KEY_FRAME_START:
            raise damaged(name, Format.WEBP, "its picture does not begin with a key frame")
        size, alpha = (width & 0x3FFF, height & 0x3FFF), b"ALPH" in chunks
    elif b"VP8L" in chunks:
        signature, bits = struct.unpack_from("<BI", chunks[b"VP8L"])
        if signature != _LOSSLESS_SIGNATURE or bits >> 29:
            raise damaged(name, Format.WEBP, "its lossless picture has another signature")
        size, alpha = ((bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1), bool(bits >> 28 & 1)
    else:
        raise damaged(name, Format.WEBP, "it has no picture chunk")
    if not all(size):
        raise damaged(name, Format.WEBP, f"it declares {size[0]}x{size[1]}")
    return *size, alpha


def _essential(chunks: dict[bytes, memoryview]) -> bytes:
    """A file of the image's chunks alone; without ALPH there is no use for VP8X."""
    parts: list[bytes | memoryview] = []
    for kind in _IMAGE:
        if kind not in chunks or (kind == b"VP8X" and b"ALPH" not in chunks):
            continue
        payload: bytes | memoryview = chunks[kind]
        if kind == b"VP8X":
            payload = bytes([_ALPHA]) + bytes(3) + bytes(payload[4:10])
        parts += [kind, struct.pack("<I", len(payload)), payload, bytes(len(payload) % 2)]
    size = 4 + sum(map(len, parts))
    return b"".join((b"RIFF", struct.pack("<I", size), b"WEBP", *parts))
