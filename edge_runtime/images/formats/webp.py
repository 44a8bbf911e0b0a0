"""Inspector for WebP (RIFF container, RFC 9649): read all chunks and check their sizes. WebP has no checksum."""

from __future__ import annotations

import struct
from collections.abc import Iterator

from edge_runtime.images.formats.directory import MAX_EXIF_BYTES, exif_orientation
from edge_runtime.images.formats.header import (
    MAX_PARTS,
    Header,
    ImageFormat,
    Part,
    damaged,
    joined,
    not_taken,
    too_many_parts,
    truncated,
)
from edge_runtime.images.formats.transparency import transparency

_ANIMATION, _ALPHA = 0x02, 0x10  # flags of the VP8X chunk
_KEY_FRAME_START = b"\x9d\x01\x2a"
_LOSSLESS_SIGNATURE = 0x2F
_HEAD_BYTES = 32  # of each chunk that carries pixels
_IMAGE = frozenset({b"VP8 ", b"VP8L"})
_READ = frozenset({b"VP8X", b"ALPH"}) | _IMAGE
_PROFILE, _EXIF, _XMP = 0x20, 0x08, 0x04  # flags of chunks that the decoder does not get

_S_PER_PIXEL, _S_PER_BYTE, _S_PER_LOSSLESS_BYTE = 10e-9, 60e-9, 20e-9
"""Processor time of libwebp 1.6, see ``header.MAX_WORK_S``."""
_MOST_GROUPS, _GROUP_BYTES = 1 << 16, 5600


def inspect(data: bytes, name: str) -> Header:
    """Read all chunks; see :func:`edge_runtime.images.formats.inspect`."""
    size, form = struct.unpack_from("<I4s", data, 4)
    if form != b"WEBP":
        raise not_taken(name, f"a RIFF file of form {form!r}", "WebP, PNG or JPEG; save one image as PNG")
    if len(data) < size + 8:
        raise truncated(name, ImageFormat.WEBP, f"{len(data)} bytes of {size + 8}")
    if len(data) > size + 8:
        raise damaged(name, ImageFormat.WEBP, f"{len(data) - size - 8} bytes follow its end")
    chunks: dict[bytes, bytes] = {}
    spans: list[tuple[int, int]] = []
    animation_frames, orientation = 0, 1
    for kind, start, end in _walk(data, name):
        if kind in chunks or (kind in _IMAGE and _IMAGE & chunks.keys()):
            raise not_taken(name, f"a second {kind.decode().strip()} chunk in a WebP file", "one; save it as PNG")
        if kind == b"ALPH" and _IMAGE & chunks.keys():
            raise not_taken(name, "a WebP file with alpha after its image", "alpha before it; save it as PNG")
        if kind in _READ:
            chunks[kind] = data[start + 8 : min(end, start + 8 + _HEAD_BYTES)]
            spans.append((start, end + (end - start) % 2))
        elif kind == b"EXIF" and orientation == 1:
            orientation = exif_orientation(data[start + 8 : min(end, start + 8 + MAX_EXIF_BYTES)])
        animation_frames += kind == b"ANMF"
    header = _header(chunks, animation_frames, name)
    parts = _parts(data, joined([(0, 12), *spans], len(data)))
    coded, lossless = sum(end - start for start, end in spans), b"VP8L" in chunks
    return header._replace(
        orientation=orientation,
        parts=parts,
        work_s=_work_s(header.pixels * (1 + (b"ALPH" in chunks)), coded, lossless),
        buffer_bytes=_table_bytes(header.pixels, coded) + header.pixels // 2 if lossless else 0,
    )


def _work_s(pixels: int, coded: int, lossless: bool) -> float:
    return pixels * _S_PER_PIXEL + coded * (_S_PER_LOSSLESS_BYTE if lossless else _S_PER_BYTE)


def _table_bytes(pixels: int, coded: int) -> int:
    """Return the largest memory of libwebp for the Huffman codes of a lossless image, in bytes.

    Each block of 4x4 pixels may have its own five codes, described in as few as 20 bits. Their number is known only
    after decoding; encoders use at most about 2,600.
    """
    return min(_MOST_GROUPS, pixels // 16, coded * 8 // 20) * _GROUP_BYTES


def _parts(data: bytes, kept: tuple[tuple[int, int], ...]) -> tuple[Part, ...]:
    """Return the parts of a container with only the chunks that contain pixels; empty if the file has no others."""
    if not kept:
        return ()
    kept = tuple((max(start, 12), end) for start, end in kept if end > 12)
    head = b"RIFF" + struct.pack("<I", sum(end - start for start, end in kept) + 4) + b"WEBP"
    first = kept[0][0] if kept else 0
    if data[first : first + 4] != b"VP8X":
        return (head, *kept)
    flags = bytes([data[first + 8] & ~(_PROFILE | _EXIF | _XMP)])
    return (head, (first, first + 8), flags, (first + 9, kept[0][1]), *kept[1:])


def _walk(data: bytes, name: str) -> Iterator[tuple[bytes, int, int]]:
    """Yield type, start and end of each chunk, without its padding byte."""
    at, count = 12, 0
    while at < len(data):
        count += 1
        if count > MAX_PARTS:
            raise too_many_parts(name, ImageFormat.WEBP)
        kind, length = struct.unpack_from("<4sI", data, at)
        if at + 8 + length > len(data):
            raise truncated(name, ImageFormat.WEBP, f"chunk {kind!r} at byte {at} needs {length} bytes")
        yield kind, at, at + 8 + length
        at += 8 + length + length % 2


def _header(chunks: dict[bytes, bytes], animation_frames: int, name: str) -> Header:
    extended = chunks.get(b"VP8X", b"")
    flags = extended[0] if extended else 0
    if flags & _ANIMATION or animation_frames:
        width, height, alpha = *_canvas(extended), False
        frames = max(2, animation_frames)  # other viewers may show a different image, even with one frame
    else:
        width, height, alpha = _bitstream(chunks, name)
        if extended and _canvas(extended) != (width, height):
            raise damaged(name, ImageFormat.WEBP, "its canvas and its image differ in size")
        frames = 1
    if b"ALPH" in chunks and (b"VP8L" in chunks or not flags & _ALPHA):
        raise transparency(name, "a WebP file with an alpha chunk that its other headers deny")
    return Header(
        ImageFormat.WEBP,
        width,
        height,
        channels=3,
        bit_depth=8,
        alpha=alpha or bool(flags & _ALPHA) or b"ALPH" in chunks,
        frames=frames,
    )


def _canvas(extended: bytes) -> tuple[int, int]:
    """Return width and height in a VP8X chunk, each stored minus one in 24 bits."""
    struct.unpack_from("10x", extended)
    return int.from_bytes(extended[4:7], "little") + 1, int.from_bytes(extended[7:10], "little") + 1


def _bitstream(chunks: dict[bytes, bytes], name: str) -> tuple[int, int, bool]:
    """Return width, height and presence of alpha of the image."""
    if b"VP8 " in chunks:
        tag, start, width, height = struct.unpack_from("<B2x3sHH", chunks[b"VP8 "])
        if tag & 1 or start != _KEY_FRAME_START:
            raise damaged(name, ImageFormat.WEBP, "its image does not begin with a key frame")
        size, alpha = (width & 0x3FFF, height & 0x3FFF), False
    elif b"VP8L" in chunks:
        signature, bits = struct.unpack_from("<BI", chunks[b"VP8L"])
        if signature != _LOSSLESS_SIGNATURE or bits >> 29:
            raise damaged(name, ImageFormat.WEBP, "its lossless image has another signature")
        size, alpha = ((bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1), bool(bits >> 28 & 1)
    else:
        raise damaged(name, ImageFormat.WEBP, "it has no image chunk")
    if not all(size):
        raise damaged(name, ImageFormat.WEBP, f"it declares {size[0]}x{size[1]}")
    return *size, alpha
