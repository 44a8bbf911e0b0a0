"""Makers of odd and hostile image files, each by hand or with Pillow, which shares no code with the inspectors."""

from __future__ import annotations

import io
import re
import struct
import zlib

import numpy as np
from PIL import Image

_RNG = np.random.default_rng(41)
RGB = np.kron(_RNG.integers(0, 256, (6, 8, 3), dtype=np.uint8), np.ones((4, 3, 1), np.uint8))
"""24×24 colour image of 4×3 px fields, which JPEG and WebP keep apart."""
GREY = np.ascontiguousarray(RGB[..., 1])
DEEP = _RNG.integers(0, 65536, (24, 24), dtype=np.uint16)
PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_ADAM7 = ((0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1))
_MARKER = re.compile(rb"\xff([^\x00\xd0-\xd7\xff])", re.DOTALL)


def encode(pixels: np.ndarray, kind: str, mode: str = "", **options: object) -> bytes:
    """Encode with Pillow, after a conversion to ``mode`` if given."""
    buffer, image = io.BytesIO(), Image.fromarray(np.ascontiguousarray(pixels))
    (image.convert(mode) if mode else image).save(buffer, kind, **options)
    return buffer.getvalue()


def turned(orientation: int) -> Image.Exif:
    """An EXIF block of one entry."""
    exif = Image.Exif()
    exif[274] = orientation
    return exif


def chunk(kind: bytes, payload: bytes = b"") -> bytes:
    """One PNG chunk with a valid CRC."""
    return struct.pack(">I", len(payload)) + kind + payload + struct.pack(">I", zlib.crc32(kind + payload))


def zeros(length: int) -> bytes:
    """A zlib stream of ``length`` zeros: one full-flushed block stands for itself at once and again."""
    whole, rest = divmod(length, 1 << 20)
    block = zlib.compressobj(9, wbits=-15)
    piece = block.compress(bytes(1 << 20)) + block.flush(zlib.Z_FULL_FLUSH)
    last = zlib.compressobj(9, wbits=-15)
    checksum = struct.pack(">HH", length % 65521, 1)  # Adler-32 of zeros (RFC 1950)
    return b"\x78\x01" + piece * whole + last.compress(bytes(rest)) + last.flush() + checksum


def png(
    width: int, height: int, depth: int = 8, colour: int = 0, stream: bytes | None = None, extra: bytes = b""
) -> bytes:
    """A PNG of zeros, or of the rows in the zlib ``stream``; ``extra`` chunks stand before IDAT."""
    row = 1 + width * depth // 8 * (3 if colour == 2 else 1)
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0))
    body = zeros(row * height) if stream is None else stream
    return PNG_SIGNATURE + head + extra + chunk(b"IDAT", body) + chunk(b"IEND")


def interlaced_png(pixels: np.ndarray) -> bytes:
    """Adam7 (PNG, third edition, section 8): seven passes of every eighth, fourth and second pixel."""
    wide = pixels.astype(">u2") if pixels.dtype == np.uint16 else pixels
    passes = (wide[top::down, left::right] for top, left, down, right in _ADAM7)
    rows = b"".join(b"\0" + row.tobytes() for part in passes for row in part if row.size)
    size = (pixels.shape[1], pixels.shape[0], 8 * pixels.itemsize, 2 if pixels.ndim == 3 else 0)
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", *size, 0, 0, 1))
    return PNG_SIGNATURE + head + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND")


def crumbled_png(pixels: np.ndarray) -> bytes:
    """Every byte of the pixels in a chunk of its own."""
    data = encode(pixels, "PNG")
    (length,) = struct.unpack_from(">I", data, 33)
    return data[:33] + b"".join(chunk(b"IDAT", data[at : at + 1]) for at in range(41, 41 + length)) + chunk(b"IEND")


Entry = tuple[int, int, int, int]


def directory(entries: list[Entry], following: int = 0) -> bytes:
    """A little-endian TIFF directory of (tag, type, count, value or offset)."""
    rows = b"".join(struct.pack("<HHII", *entry) for entry in entries)
    return struct.pack("<H", len(entries)) + rows + struct.pack("<I", following)


def tiff(*, body: bytes = b"", following: int = 0, **tags: int | Entry) -> bytes:
    """A grey TIFF of 8x8 zeros with its pixels and ``body`` at byte 512; ``t262=0`` or whole entries replace tags."""
    values: dict[int, int | Entry] = {256: 8, 257: 8, 258: 8, 259: 1, 262: 1, 273: 512, 277: 1, 278: 8, 279: 64}
    values |= {int(key[1:]): value for key, value in tags.items()}
    rows = [values[tag] for tag in sorted(values)]
    entries = [
        row if isinstance(row, tuple) else (tag, 4, 1, row) for tag, row in zip(sorted(values), rows, strict=True)
    ]
    return (b"II*\0\x08\0\0\0" + directory(entries, following)).ljust(512, b"\0") + (body or bytes(64))


def overlapping_directories(count: int) -> bytes:
    """``count`` directories of ``count`` entries each, six bytes apart."""
    data = bytearray(18 + 12 * count + 6 * count)
    data[:8] = b"II*\0\x08\0\0\0"
    for at in range(8, 8 + 6 * count, 6):
        struct.pack_into("<H", data, at, count)
        struct.pack_into("<I", data, at + 2 + 12 * count, at + 6 if at < 2 + 6 * count else 0)
    return bytes(data)


def overlapping_strips(rows: int, padding: int) -> bytes:
    """Each row is a strip of the same bytes: a Deflate stream and ``padding`` zeros."""
    stream = zlib.compress(bytes(8)) + bytes(padding)
    tables = struct.pack(f"<{rows}I", *[512 + 8 * rows] * rows) + struct.pack(f"<{rows}I", *[len(stream)] * rows)
    places = {"t273": (273, 4, rows, 512), "t279": (279, 4, rows, 512 + 4 * rows)}
    return tiff(body=tables + stream, t257=rows, t259=8, t278=1, **places)


def segments(data: bytes) -> list[int]:
    """Offsets of the markers of a JPEG."""
    found, at, scan = [], 2, False
    while at < len(data):
        match = _MARKER.search(data, at) if scan else _MARKER.match(data, at)
        if match is None:
            break
        found.append(match.start())
        scan = match[1] == b"\xda"
        at = match.end() + (0 if match[1] == b"\xd9" else struct.unpack_from(">H", data, match.end())[0])
    return found


def closed_after_scan(data: bytes, scans: int) -> bytes:
    """A JPEG that ends, properly, after its first ``scans`` scans."""
    marks = segments(data)
    starts = [index for index, at in enumerate(marks) if data[at + 1] == 0xDA]
    return data[: marks[starts[scans - 1] + 1]] + b"\xff\xd9"


def many_scans(count: int) -> bytes:
    """A progressive JPEG whose last scan is repeated."""
    data = encode(GREY, "JPEG", progressive=True)
    last = data[segments(data)[-2] : -2]
    return data[:-2] + last * count + b"\xff\xd9"


def with_segment(data: bytes, marker: int, payload: bytes) -> bytes:
    """A JPEG with one more segment at its beginning."""
    return data[:2] + struct.pack(">BBH", 0xFF, marker, len(payload) + 2) + payload + data[2:]


def riff(*chunks: tuple[bytes, bytes]) -> bytes:
    """A WebP container of these chunks."""
    body = b"".join(kind + struct.pack("<I", len(load)) + load + b"\0" * (len(load) % 2) for kind, load in chunks)
    return b"RIFF" + struct.pack("<I", len(body) + 4) + b"WEBP" + body


def bmp(width: int, height: int, *, info: int = 40, bits: int = 24, compression: int = 0, data: bytes = b"") -> bytes:
    """A BMP head with these fields, and ``data``."""
    head = struct.pack("<IiiHHIIiiII", info, width, height, 1, bits, compression, 0, 0, 0, 0, 0)
    return b"BM" + struct.pack("<IHHI", 54 + len(data), 0, 0, 54) + head + data
