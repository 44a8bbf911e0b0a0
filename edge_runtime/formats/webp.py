"""WebP (RIFF container, RFC 9649): chunks are walked against the sizes. It has no checksum."""

from __future__ import annotations

import struct
from collections.abc import Iterator

from edge_runtime.formats.directory import exif_orientation
from edge_runtime.formats.header import MAX_PARTS, Format, Header, damaged, not_taken, too_many_parts, truncated

_ANIMATION, _ALPHA = 0x02, 0x10  # flags of the VP8X chunk
_KEY_FRAME_START = b"\x9d\x01\x2a"
_LOSSLESS_SIGNATURE = 0x2F
_READ = frozenset({b"VP8X", b"VP8 ", b"VP8L", b"ALPH", b"EXIF"})


def inspect(data: bytes, name: str) -> Header:
    """Walk all chunks; see :func:`edge_runtime.formats.inspect`."""
    size, form = struct.unpack_from("<I4s", data, 4)
    if form != b"WEBP":
        raise not_taken(name, f"a RIFF file of form {form!r}", "WebP, PNG or JPEG; save one picture as PNG")
    if len(data) < size + 8:
        raise truncated(name, Format.WEBP, f"{len(data)} bytes of {size + 8}")
    if len(data) > size + 8:
        raise damaged(name, Format.WEBP, f"{len(data) - size - 8} bytes follow its end")
    chunks: dict[bytes, bytes] = {}
    animation_frames = 0
    for kind, payload in _walk(data, name):
        if kind in _READ:
            chunks.setdefault(kind, payload)
        animation_frames += kind == b"ANMF"
    return _header(chunks, animation_frames, name)


def _walk(data: bytes, name: str) -> Iterator[tuple[bytes, bytes]]:
    at, count = 12, 0
    while at < len(data):
        count += 1
        if count > MAX_PARTS:
            raise too_many_parts(name, Format.WEBP)
        kind, length = struct.unpack_from("<4sI", data, at)
        if at + 8 + length > len(data):
            raise truncated(name, Format.WEBP, f"chunk {kind!r} at byte {at} needs {length} bytes")
        yield kind, data[at + 8 : at + 8 + length]
        at += 8 + length + length % 2


def _header(chunks: dict[bytes, bytes], animation_frames: int, name: str) -> Header:
    extended = chunks.get(b"VP8X", b"")
    flags = extended[0] if extended else 0
    if flags & _ANIMATION or animation_frames:
        width, height, alpha = *_canvas(extended), False
        frames = max(2, animation_frames)  # even one frame may differ from what other viewers show
    else:
        width, height, alpha = _bitstream(chunks, name)
        if extended and _canvas(extended) != (width, height):
            raise damaged(name, Format.WEBP, "its canvas and its picture differ in size")
        frames = 1
    try:
        orientation = exif_orientation(chunks[b"EXIF"]) if b"EXIF" in chunks else 1
    except ValueError as error:
        raise damaged(name, Format.WEBP, str(error)) from None
    return Header(
        Format.WEBP,
        width,
        height,
        channels=3,
        bit_depth=8,
        alpha=alpha or bool(flags & _ALPHA) or b"ALPH" in chunks,
        orientation=orientation,
        frames=frames,
    )


def _canvas(extended: bytes) -> tuple[int, int]:
    """Width and height of a VP8X chunk, both stored as 24 bits less one."""
    struct.unpack_from("10x", extended)
    return int.from_bytes(extended[4:7], "little") + 1, int.from_bytes(extended[7:10], "little") + 1


def _bitstream(chunks: dict[bytes, bytes], name: str) -> tuple[int, int, bool]:
    """Width, height and alpha of the one picture."""
    if b"VP8 " in chunks:
        tag, start, width, height = struct.unpack_from("<B2x3sHH", chunks[b"VP8 "])
        if tag & 1 or start != _KEY_FRAME_START:
            raise damaged(name, Format.WEBP, "its picture does not begin with a key frame")
        size, alpha = (width & 0x3FFF, height & 0x3FFF), False
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
