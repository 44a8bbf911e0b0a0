"""Files that contradict themselves are called damaged."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image

from edge_runtime.errors import ImageUnreadableError
from edge_runtime.images import reader

COLOUR = np.random.default_rng(25).integers(0, 256, (23, 17, 3), dtype=np.uint8)
GREY = COLOUR[..., 1].copy()


def encode(pixels: np.ndarray, kind: str, **options: object) -> bytes:
    """Encode with Pillow, which shares no code with the inspectors."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, kind, **options)
    return buffer.getvalue()


def chunk(kind: bytes, payload: bytes) -> bytes:
    """One PNG chunk with a valid CRC."""
    return struct.pack(">I", len(payload)) + kind + payload + struct.pack(">I", zlib.crc32(kind + payload))


def _png_with_short_data() -> bytes:
    rows = zlib.compress(bytes(18 * 9))
    return encode(GREY, "PNG")[:33] + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def _png_without(kind: bytes) -> bytes:
    data = encode(GREY, "PNG")
    at = data.index(kind) - 4
    return data[:at] + data[at + 12 + struct.unpack_from(">I", data, at)[0] :]


DAMAGED: dict[str, Callable[[], bytes]] = {
    "png whose valid chunks hold half the rows": _png_with_short_data,
    "png without IDAT": lambda: _png_without(b"IDAT"),
    "png without IHDR": lambda: _png_without(b"IHDR"),
    "png with bytes after IEND": lambda: encode(GREY, "PNG") + b"x",
    "png of bit depth 3": lambda: (
        encode(GREY, "PNG")[:8] + chunk(b"IHDR", struct.pack(">IIBBBBB", 9, 9, 3, 0, 0, 0, 0)) + _png_tail()
    ),
    "png of width 0": lambda: (
        encode(GREY, "PNG")[:8] + chunk(b"IHDR", struct.pack(">IIBBBBB", 0, 9, 8, 0, 0, 0, 0)) + _png_tail()
    ),
    "jpeg without a scan": lambda: b"\xff\xd8\xff\xd9",
    "pnm with bytes after its pixels": lambda: encode(GREY, "PPM") + b"surplus",
    "webp with bytes after its end": lambda: encode(COLOUR, "WEBP") + b"surplus!",
    "tiff whose directories form a loop": lambda: _tiff_loop(),
    "bmp whose pixels begin in its header": lambda: b"BM" + bytes(8) + b"\x10" + encode(COLOUR, "BMP")[11:],
}


def _png_tail() -> bytes:
    return encode(GREY, "PNG")[33:]


def _tiff_loop() -> bytes:
    data = bytearray(encode(GREY, "TIFF"))
    (offset,) = struct.unpack_from("<I", data, 4)
    (count,) = struct.unpack_from("<H", data, offset)
    struct.pack_into("<I", data, offset + 2 + 12 * count, offset)
    return bytes(data)


@pytest.mark.parametrize("case", DAMAGED)
def test_a_contradiction_inside_a_file_is_called_damaged(case: str) -> None:
    with pytest.raises(ImageUnreadableError) as caught:
        reader.read(DAMAGED[case](), name="case")
    assert caught.value.code == "image_damaged"
    assert "case: found" in caught.value.message
    assert "expected" in caught.value.message
