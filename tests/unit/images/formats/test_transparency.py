"""An alpha channel that is opaque everywhere is dropped; one pixel that is not refuses the image."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable

import cv2
import numpy as np
import pytest
from PIL import Image

from edge_runtime.errors import ImageError
from edge_runtime.images import reader
from tests.unit.images import hostile_files as make
from tests.unit.images.hostile_files import DEEP, GREY, RGB, encode

DEEP_RGB = np.dstack([DEEP, DEEP[::-1], DEEP[:, ::-1]])


def opacity(pixels: np.ndarray, clear: bool) -> np.ndarray:
    """An alpha channel, opaque or all but opaque in its last pixel."""
    full = np.iinfo(pixels.dtype).max
    alpha = np.full(pixels.shape[:2], full, pixels.dtype)
    alpha[-1, -1] -= clear
    return alpha


def png_by_hand(pixels: np.ndarray, clear: bool) -> bytes:
    """8 or 16 bits of grey or RGB with alpha."""
    wide = np.dstack([pixels, opacity(pixels, clear)])
    rows = wide.astype(wide.dtype.newbyteorder(">"))
    stream = zlib.compress(b"".join(b"\0" + row.tobytes() for row in rows))
    size = (wide.shape[1], wide.shape[0], 8 * wide.itemsize, 4 if wide.shape[2] == 2 else 6)
    head = make.chunk(b"IHDR", struct.pack(">IIBBBBB", *size, 0, 0, 0))
    return make.PNG_SIGNATURE + head + make.chunk(b"IDAT", stream) + make.chunk(b"IEND")


def tiff_by_hand(pixels: np.ndarray, clear: bool, kind: int = 2, deflate: bool = False) -> bytes:
    """Grey or RGB with one extra sample of this kind."""
    wide = np.dstack([pixels, opacity(pixels, clear)])
    body = zlib.compress(wide.tobytes()) if deflate else wide.tobytes()
    samples, bits = wide.shape[2], 8 * wide.itemsize
    inline = bits * 65537 if samples == 2 else 400
    tags = {"t256": wide.shape[1], "t257": wide.shape[0], "t258": (258, 3, samples, inline), "t277": samples}
    tags |= {"t259": 8 if deflate else 1, "t262": 1 if samples == 2 else 2, "t278": wide.shape[0], "t279": len(body)}
    data = bytearray(make.tiff(body=body, **tags, t338=(338, 3, 1, kind)))
    if samples == 4:
        struct.pack_into("<4H", data, 400, bits, bits, bits, bits)
    return bytes(data)


def bmp_by_hand(pixels: np.ndarray, clear: bool) -> bytes:
    """32 bits, rows from the top."""
    rows = np.dstack([pixels[..., ::-1], opacity(pixels, clear)])
    return make.bmp(rows.shape[1], -rows.shape[0], bits=32, data=rows.tobytes())


def webp(clear: bool, **options: object) -> bytes:
    """A WebP whose alpha is opaque: Pillow drops such, so the flags are set by hand or one pixel is clear."""
    return encode(np.dstack([RGB, opacity(RGB, clear)]), "WEBP", **options)


CASES: dict[str, tuple[np.ndarray, Callable[[bool], bytes]]] = {
    "png rgb": (RGB, lambda clear: png_by_hand(RGB, clear)),
    "png grey": (GREY, lambda clear: png_by_hand(GREY, clear)),
    "png rgb 16 bit": (DEEP_RGB, lambda clear: png_by_hand(DEEP_RGB, clear)),
    "png grey 16 bit": (DEEP, lambda clear: png_by_hand(DEEP, clear)),
    "tiff rgb": (RGB, lambda clear: tiff_by_hand(RGB, clear)),
    "tiff rgb, associated": (RGB, lambda clear: tiff_by_hand(RGB, clear, 1)),
    "tiff rgb deflate": (RGB, lambda clear: tiff_by_hand(RGB, clear, 2, True)),
    "tiff rgb 16 bit": (DEEP_RGB, lambda clear: tiff_by_hand(DEEP_RGB, clear)),
    "tiff grey": (GREY, lambda clear: tiff_by_hand(GREY, clear)),
    "tiff grey, associated": (GREY, lambda clear: tiff_by_hand(GREY, clear, 1)),
    "tiff grey deflate": (GREY, lambda clear: tiff_by_hand(GREY, clear, 2, True)),
    "tiff grey 16 bit": (DEEP, lambda clear: tiff_by_hand(DEEP, clear)),
    "bmp": (RGB, lambda clear: bmp_by_hand(RGB, clear)),
    "webp lossless": (RGB, lambda clear: webp(clear, lossless=True)),
    "png one transparent colour": (
        RGB,
        lambda clear: encode(RGB, "PNG", transparency=tuple(map(int, RGB[0, 0])) if clear else (1, 2, 3)),
    ),
    "png one transparent grey": (
        GREY,
        lambda clear: encode(GREY, "PNG", transparency=int(GREY[0, 0]) if clear else _unused(GREY)),
    ),
    "png one transparent grey of 16 bits": (
        DEEP,
        lambda clear: _deep_png(int(DEEP[0, 0]) if clear else _unused(DEEP)),
    ),
}


def _unused(pixels: np.ndarray) -> int:
    return next(value for value in range(65536) if value not in pixels)


def _deep_png(value: int) -> bytes:
    data = encode(DEEP, "PNG")
    return data[:33] + make.chunk(b"tRNS", struct.pack(">H", value)) + data[33:]


@pytest.mark.parametrize("case", CASES)
def test_opaque_alpha_is_dropped_and_the_values_are_the_very_ones(case: str) -> None:
    expected, build = CASES[case]
    found = reader.read(build(False)).pixels
    assert found.dtype == expected.dtype
    assert found.flags.c_contiguous
    np.testing.assert_array_equal(found if expected.ndim == 2 else found[..., ::-1], expected)


@pytest.mark.parametrize("case", CASES)
def test_one_pixel_that_is_not_opaque_refuses_the_image(case: str) -> None:
    with pytest.raises(ImageError, match="every pixel opaque") as caught:
        reader.read(CASES[case][1](True))
    assert caught.value.code == "image_alpha"


def test_the_unused_byte_of_a_windows_bitmap_is_no_transparency() -> None:
    rows = np.dstack([RGB[..., ::-1], np.zeros_like(RGB[..., 0])])
    data = make.bmp(rows.shape[1], -rows.shape[0], bits=32, data=rows.tobytes())
    np.testing.assert_array_equal(reader.read(data).pixels[..., ::-1], RGB)


def _lossy_webp(level: int) -> bytes:
    """A lossy WebP with an uncompressed ALPH chunk (RFC 9649, 2.7.1.2)."""
    still = encode(RGB, "WEBP")[12:]
    (length,) = struct.unpack_from("<I", still, 4)
    alpha = bytes([0]) + bytes([255]) * 575 + bytes([level])
    extended = b"\x10\0\0\0" + struct.pack("<I", 23)[:3] * 2
    return make.riff((b"VP8X", extended), (b"ALPH", alpha), (b"VP8 ", still[8 : 8 + length]))


def test_an_opaque_alpha_chunk_of_a_webp_is_dropped() -> None:
    plain = cv2.imdecode(np.frombuffer(encode(RGB, "WEBP"), np.uint8), cv2.IMREAD_UNCHANGED)
    np.testing.assert_array_equal(reader.read(_lossy_webp(255)).pixels, plain)
    with pytest.raises(ImageError) as caught:
        reader.read(_lossy_webp(254))
    assert caught.value.code == "image_alpha"


def test_an_opaque_webp_whose_lossless_stream_has_alpha_is_dropped() -> None:
    """The alpha bit of VP8L (RFC 9649, 3.4) is a hint: the stream has four channels with and without it."""
    data = bytearray(encode(RGB, "WEBP", lossless=True))
    data[24] |= 0x10
    assert cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED).shape == (24, 24, 4)
    np.testing.assert_array_equal(reader.read(bytes(data)).pixels[..., ::-1], RGB)


@pytest.mark.parametrize("kind", [0, 3])
def test_an_extra_sample_of_no_known_meaning_is_refused(kind: int) -> None:
    with pytest.raises(ImageError, match="extra samples") as caught:
        reader.read(tiff_by_hand(RGB, False, kind))
    assert caught.value.code == "image_alpha"


@pytest.mark.parametrize("fourth", [[7], [0, 255]], ids=["another value", "both"])
def test_a_fourth_byte_of_a_bmp_that_may_be_alpha_refuses_the_image(fourth: list[int]) -> None:
    rows = np.dstack([RGB, np.resize(np.array(fourth, np.uint8), (24, 24))])
    with pytest.raises(ImageError, match="fourth byte") as caught:
        reader.read(make.bmp(24, 24, bits=32, data=rows.tobytes()))
    assert caught.value.code == "image_alpha"


def test_pillow_agrees_on_what_is_opaque() -> None:
    for case in ("png rgb", "png grey", "tiff rgb", "tiff grey", "bmp", "webp lossless"):
        expected, build = CASES[case]
        with Image.open(io.BytesIO(build(False))) as image:
            found = np.asarray(image.convert("L" if expected.ndim == 2 else "RGB"))
        np.testing.assert_array_equal(found, expected)
