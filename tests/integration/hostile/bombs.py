"""Small images with megabytes around them, and ones that are slow to decode; each made by hand or with Pillow."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np
from PIL import Image

from tests.unit.images import hostile_files as make
from tests.unit.images.hostile_files import RGB, chunk, encode

_PNG, _JPEG, _WEBP = encode(RGB, "PNG"), encode(RGB, "JPEG"), encode(RGB, "WEBP", lossless=True)
_NOISE = np.random.default_rng(3)


def _png_with(*chunks: bytes) -> bytes:
    return b"".join((_PNG[:33], *chunks, _PNG[33:]))


def _jpeg_with(marker: int, payload: bytes, count: int) -> bytes:
    segment = struct.pack(">BBH", 0xFF, marker, len(payload) + 2) + payload
    return _JPEG[:2] + segment * count + _JPEG[2:]


def _webp_with(kind: bytes, payload: bytes, count: int = 1) -> bytes:
    size = struct.pack("<I", RGB.shape[1] - 1)[:3] + struct.pack("<I", RGB.shape[0] - 1)[:3]
    (length,) = struct.unpack_from("<I", _WEBP, 16)
    return make.riff((b"VP8X", bytes(4) + size), (b"VP8L", _WEBP[20 : 20 + length]), *[(kind, payload)] * count)


def _tiff_aliased(length: int) -> bytes:
    """Thirty tags that name the same bytes."""
    tags = {f"t{tag}": (tag, 2, length, 576) for tag in (269, 270, 271, 272, 285, 305, 306, 315, 316, 337, 33432)}
    tags |= {f"t{tag}": (tag, 2, length, 576) for tag in range(65000, 65019)}
    return _tiff(bytes(64) + b"a" * length, **tags)


def _tiff(body: bytes, **tags: Any) -> bytes:
    """As ``make.tiff``, with the pixels and the body behind any number of tags."""
    values: dict[int, tuple[int, int, int, int]] = {
        tag: (tag, 4, 1, value)
        for tag, value in {256: 8, 257: 8, 258: 8, 259: 1, 262: 1, 273: 512, 277: 1, 278: 8, 279: 64}.items()
    }
    values |= {int(key[1:]): value for key, value in tags.items()}
    head = b"II*\0\x08\0\0\0" + make.directory([values[tag] for tag in sorted(values)])
    return head.ljust(512, b"\0") + body


def _noise_png(side: int, filtered: int) -> bytes:
    """Colour noise of 5 bits, all rows with one filter."""
    row = 3 * side
    rows = b"".join(bytes([filtered]) + line.tobytes() for line in _NOISE.integers(0, 32, (256, row), dtype=np.uint8))
    stream = zlib.compressobj(1, strategy=zlib.Z_HUFFMAN_ONLY)
    parts = [stream.compress(rows) for _ in range(-(-side // 256))]
    surplus = (-(-side // 256) * 256 - side) * (row + 1)
    assert not surplus
    return make.png(side, side, colour=2, stream=b"".join(parts) + stream.flush())


def _empty_blocks(length: int) -> bytes:
    """A zlib stream of blocks that hold nothing but the tables of a Huffman code (RFC 1951, 3.2.7)."""
    order = (16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1)
    value, bits = 0, 0

    def put(number: int, count: int) -> None:
        nonlocal value, bits
        value |= number << bits
        bits += count

    for _ in range(8):  # so that the last bit ends a byte
        put(0b100, 3)
        put(0, 5), put(0, 5), put(len(order) - 4, 4)
        for symbol in order:
            put(1 if symbol in (18, 1) else 0, 3)
        put(0, 1), put(1, 1), put(138 - 11, 7), put(1, 1), put(255 - 138 - 11, 7), put(0, 1), put(0, 1)
        put(1, 1)
    piece = value.to_bytes(bits // 8, "little")
    return b"\x78\x01" + piece * (length // len(piece))


def _mcu_restarts(side: int) -> bytes:
    """A JPEG with a restart after every unit."""
    buffer = io.BytesIO()
    Image.new("L", (side, side)).save(buffer, "JPEG", restart_marker_blocks=1)
    return buffer.getvalue()


def _scans(side: int, count: int) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (side, side)).save(buffer, "JPEG", progressive=True)
    data = buffer.getvalue()
    last = data[make.segments(data)[-2] : -2]
    return data[:-2] + last * count + b"\xff\xd9"


def _strips(rows: int, stream: bytes) -> bytes:
    """A Deflate TIFF of one row a strip, each strip with its own bytes."""
    places = 512 + 8 * rows + np.arange(rows, dtype="<u4") * len(stream)
    tables = places.tobytes() + np.full(rows, len(stream), "<u4").tobytes()
    return make.tiff(
        body=tables + stream * rows,
        t257=rows,
        t259=8,
        t278=1,
        t273=(273, 4, rows, 512),
        t279=(279, 4, rows, 512 + 4 * rows),
    )


RGB_SHAPE = (24, 24, 3)
Outcome = str | tuple[int, ...] | None  # the code of a refusal, the shape of the pixels, or either


def _interlaced_zeros(side: int) -> bytes:
    length = sum(
        len(range(top, side, down)) * (1 + 3 * len(range(left, side, right))) for top, left, down, right in make._ADAM7
    )
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 1))
    return make.PNG_SIGNATURE + head + chunk(b"IDAT", make.zeros(length)) + chunk(b"IEND")


def _crumbs(side: int) -> bytes:
    stream = zlib.compress(b"\0" * (side * (side + 1)), 0)
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0))
    return make.PNG_SIGNATURE + head + b"".join(chunk(b"IDAT", bytes([byte])) for byte in stream) + chunk(b"IEND")


def _deflated(stream: bytes) -> bytes:
    return make.tiff(body=stream, t256=8000, t257=8000, t259=8, t278=8000, t279=len(stream))


def _noisy_webp() -> bytes:
    tile = Image.fromarray(_NOISE.integers(0, 256, (1000, 1000, 3), dtype=np.uint8))
    whole = Image.new("RGB", (8000, 6000))
    for x in range(8):
        for y in range(6):
            whole.paste(tile, (1000 * x, 1000 * y))
    buffer = io.BytesIO()
    whole.save(buffer, "WEBP", quality=40, method=0)
    return buffer.getvalue()


class _Bits:
    """Writes numbers of some bits, the lowest first (RFC 9649, 3.1)."""

    def __init__(self) -> None:
        self.done, self._value, self._count = bytearray(), 0, 0

    def put(self, *numbers: tuple[int, int]) -> None:
        for number, count in numbers:
            self._value |= number << self._count
            self._count += count
            while self._count >= 8:
                self.done.append(self._value & 255)
                self._value >>= 8
                self._count -= 8


def _webp_of_groups(side: int) -> bytes:
    """A lossless black WebP in which each block of 4x4 pixels, up to 65,536 of them, has Huffman codes of its own."""
    bits, blocks = _Bits(), (side // 4) ** 2
    constant = ((1, 1), (0, 1), (0, 1), (0, 1))  # a code of one symbol, 0
    bits.put((0x2F, 8), (side - 1, 14), (side - 1, 14), (0, 4))
    bits.put((0, 1), (0, 1), (1, 1), (0, 3), (0, 1))  # no transform, no cache, codes by blocks of 4x4, no cache
    for more in (24, 0):  # green and red of the image of group numbers: 256 symbols of 8 bits
        bits.put((0, 1), (12 - 4, 4), *(((1 if length in (0, 8) else 0), 3) for length in _LENGTHS), (0, 1))
        bits.put(*[(1, 1)] * 256, *[(0, 1)] * more)
    bits.put(*constant * 3)
    reverse = [int(f"{byte:08b}"[::-1], 2) for byte in range(256)]
    for block in range(blocks):
        bits.put((reverse[block & 255], 8), (reverse[block >> 8 & 255], 8))
    for _ in range(min(blocks, 1 << 16)):
        bits.put(*constant * 5)
    bits.put((0, 16))
    return make.riff((b"VP8L", bytes(bits.done[: len(bits.done) // 2 * 2])))


_LENGTHS = (17, 18, 0, 1, 2, 3, 4, 5, 16, 6, 7, 8)  # the order of code lengths, as far as it is used


BOMBS: dict[str, tuple[Outcome, Callable[[], bytes]]] = {
    "png: 900 texts that inflate to 8 MB each": (
        RGB_SHAPE,
        lambda: _png_with(*[chunk(b"zTXt", b"k\0\0" + zlib.compress(b"a" * 7_900_000, 9))] * 900),
    ),
    "png: 500 international texts": (
        RGB_SHAPE,
        lambda: _png_with(*[chunk(b"iTXt", b"k\0\1\0\0\0" + zlib.compress(b"a" * 7_900_000, 9))] * 500),
    ),
    "png: 300 MB of text": (RGB_SHAPE, lambda: _png_with(chunk(b"tEXt", b"k\0" + bytes(300_000_000)))),
    "png: 300 MB of text with a wrong CRC": (
        RGB_SHAPE,
        lambda: _png_with(chunk(b"tEXt", b"k\0" + bytes(300_000_000))[:-1] + b"!"),
    ),
    "png: 300 MB of EXIF": (RGB_SHAPE, lambda: _png_with(chunk(b"eXIf", b"II*\0\x08\0\0\0" + b"\xff" * 300_000_000))),
    "png: profile that inflates to 500 MB": (
        RGB_SHAPE,
        lambda: _png_with(chunk(b"iCCP", b"p\0\0" + make.zeros(500_000_000))),
    ),
    "png: 90,000 EXIF blocks": (RGB_SHAPE, lambda: _png_with(chunk(b"eXIf", bytes(20)) * 90_000)),
    "png: 90,000 suggested palettes": (RGB_SHAPE, lambda: _png_with(chunk(b"sPLT", b"a\0\x08") * 90_000)),
    "png: 90,000 chunks of 3,900 bytes": (RGB_SHAPE, lambda: _png_with(chunk(b"teXt", bytes(3900)) * 90_000)),
    "png: 73,000 tiny IDAT chunks": ((270, 270), lambda: _crumbs(270)),
    "png: 14 million colours of noise, Paeth": ((3840, 3840, 3), lambda: _noise_png(3840, 4)),
    "png: 59 million colours of noise, Paeth": ("image_too_large", lambda: _noise_png(7680, 4)),
    "png: 60 million interlaced colours": ("image_too_large", lambda: _interlaced_zeros(7746)),
    "png: 30 million interlaced colours": ((5477, 5477, 3), lambda: _interlaced_zeros(5477)),
    "png: 60 MB of empty blocks": ("image_damaged", lambda: make.png(8000, 8000, stream=_empty_blocks(60_000_000))),
    "jpeg: 5,000 long application segments": (RGB_SHAPE, lambda: _jpeg_with(0xE2, bytes(65_000), 5000)),
    "jpeg: 5,000 long comments": (RGB_SHAPE, lambda: _jpeg_with(0xFE, bytes(65_000), 5000)),
    "jpeg: 5,000 long EXIF blocks": (
        RGB_SHAPE,
        lambda: _jpeg_with(0xE1, b"Exif\0\0II*\0\x08\0\0\0" + b"\xff" * 65_000, 5000),
    ),
    "jpeg: 90,000 Huffman tables": ("image_damaged", lambda: _jpeg_with(0xC4, b"\x00" + bytes(15) + b"\1\0", 90_000)),
    "jpeg: 5,000 segments of quantisation tables": (
        "image_damaged",
        lambda: _jpeg_with(0xDB, (b"\0" + b"\1" * 64) * 1000, 5000),
    ),
    "jpeg: 60 million progressive pixels, 100 scans": ("image_format", lambda: _scans(7700, 89)),
    "jpeg: 16 million progressive pixels, 60 scans": (None, lambda: _scans(4000, 50)),
    "jpeg: a restart after every unit": ((8000, 8000), lambda: _mcu_restarts(8000)),
    "tiff: thirty tags that name the same 40 MB": ((8, 8), lambda: _tiff_aliased(40_000_000)),
    "tiff: 90,000 strips": ((90_000, 8), lambda: _strips(90_000, zlib.compress(bytes(8)))),
    "tiff: 60 MB of empty blocks": (
        "image_damaged",
        lambda: _deflated(_empty_blocks(60_000_000)),
    ),
    "webp: 300 MB of EXIF": (RGB_SHAPE, lambda: _webp_with(b"EXIF", b"II*\0\x08\0\0\0" + b"\xff" * 300_000_000)),
    "webp: 300 MB of XMP": (RGB_SHAPE, lambda: _webp_with(b"XMP ", bytes(300_000_000))),
    "webp: 90,000 unknown chunks": (RGB_SHAPE, lambda: _webp_with(b"spAm", bytes(20), 90_000)),
    "webp: 65,536 groups of Huffman codes": ((1024, 1024, 3), lambda: _webp_of_groups(1024)),
    "webp: 65,536 groups of Huffman codes, 17 million pixels": ("image_too_large", lambda: _webp_of_groups(4096)),
    "webp: 48 million pixels of noise": (None, lambda: _noisy_webp()),
}  # fmt: skip
