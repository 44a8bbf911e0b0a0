"""Pixels equal an independent decoder's, for every format and variant that is taken."""

from __future__ import annotations

import io
import struct
from collections.abc import Callable

import cv2
import numpy as np
import pytest
from PIL import Image

from edge_runtime.images import reader
from edge_runtime.images.colour import ColourOrder

_RNG = np.random.default_rng(23)
RGB = _RNG.integers(0, 256, (31, 19, 3), dtype=np.uint8)
GREY = RGB[..., 0].copy()
GREY16 = _RNG.integers(0, 65536, (31, 19), dtype=np.uint16)
BGR16 = np.dstack([GREY16, GREY16[::-1], GREY16[:, ::-1]])


def pillow(pixels: np.ndarray, kind: str, **options: object) -> bytes:
    """Encode with Pillow."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, kind, **options)
    return buffer.getvalue()


def opencv(extension: str, pixels: np.ndarray, *options: int) -> bytes:
    """Encode with OpenCV, for depths that Pillow cannot write."""
    return cv2.imencode(extension, pixels, options)[1].tobytes()


def big_endian_tiff() -> bytes:
    """A hand-made big-endian grey TIFF of 16 bits in strips of 16 rows."""
    values = GREY16.astype(">u2").tobytes()
    entries = [(256, 19), (257, 31), (258, 16), (259, 1), (262, 1), (277, 1), (278, 16)]
    head = b"MM\0*" + struct.pack(">IH", 8, 9) + b"".join(struct.pack(">HHII", t, 4, 1, v) for t, v in entries)
    head += struct.pack(">HHII", 273, 4, 2, 168) + struct.pack(">HHII", 279, 4, 2, 176) + bytes(4)
    places = struct.pack(">4I", 200, 200 + 16 * 38, 16 * 38, 15 * 38)
    return (head.ljust(168, b"\0") + places).ljust(200, b"\0") + values


def top_down_bmp() -> bytes:
    """A hand-made BMP whose first row comes first."""
    rows = b"".join(row.tobytes().ljust(60, b"\0") for row in RGB[..., ::-1])
    head = struct.pack("<IiiHHIIiiII", 40, 19, -31, 1, 24, 0, 0, 0, 0, 0, 0)
    return b"BM" + struct.pack("<IHHI", 54 + len(rows), 0, 0, 54) + head + rows


LOSSLESS: dict[str, tuple[np.ndarray, Callable[[], bytes]]] = {
    "png colour": (RGB, lambda: pillow(RGB, "PNG")),
    "png grey": (GREY, lambda: pillow(GREY, "PNG")),
    "png grey 16 bit": (GREY16, lambda: pillow(GREY16, "PNG")),
    "png colour 16 bit": (BGR16[..., ::-1], lambda: opencv(".png", BGR16)),
    "png with a colour profile": (RGB, lambda: pillow(RGB, "PNG", icc_profile=b"no sound profile")),
    "png with orientation 1": (RGB, lambda: pillow(RGB, "PNG", exif=_upright())),
    "bmp colour": (RGB, lambda: pillow(RGB, "BMP")),
    "bmp grey": (GREY, lambda: pillow(GREY, "BMP")),
    "bmp with the top row first": (RGB, top_down_bmp),
    "ppm colour": (RGB, lambda: pillow(RGB, "PPM")),
    "pgm grey": (GREY, lambda: pillow(GREY, "PPM")),
    "pgm grey 16 bit": (GREY16, lambda: pillow(GREY16, "PPM")),
    "pgm with comments": (GREY, lambda: b"P5\n# made\n19 31\n# by hand\n255\n" + GREY.tobytes()),
    "ppm colour 16 bit": (BGR16[..., ::-1], lambda: opencv(".ppm", BGR16)),
    "tiff colour": (RGB, lambda: pillow(RGB, "TIFF")),
    "tiff grey": (GREY, lambda: pillow(GREY, "TIFF")),
    "tiff grey 16 bit": (GREY16, lambda: pillow(GREY16, "TIFF")),
    "tiff colour 16 bit": (BGR16[..., ::-1], lambda: opencv(".tiff", BGR16, cv2.IMWRITE_TIFF_COMPRESSION, 1)),
    "tiff deflate": (RGB, lambda: pillow(RGB, "TIFF", compression="tiff_adobe_deflate")),
    "tiff deflate 16 bit": (GREY16, lambda: pillow(GREY16, "TIFF", compression="tiff_adobe_deflate")),
    "tiff deflate with a predictor": (
        RGB,
        lambda: pillow(RGB, "TIFF", compression="tiff_adobe_deflate", tiffinfo={317: 2}),
    ),
    "tiff in many strips": (RGB, lambda: pillow(RGB, "TIFF", strip_size=190)),
    "tiff big-endian 16 bit": (GREY16, big_endian_tiff),
    "webp lossless": (RGB, lambda: pillow(RGB, "WEBP", lossless=True)),
    "1x1": (RGB[:1, :1], lambda: pillow(RGB[:1, :1].copy(), "PNG")),
    "1xN strip": (GREY[:1], lambda: pillow(GREY[:1].copy(), "PNG")),
    "Nx1 strip": (GREY[:, :1], lambda: pillow(GREY[:, :1].copy(), "BMP")),
}


def _upright() -> Image.Exif:
    exif = Image.Exif()
    exif[274] = 1
    return exif


@pytest.mark.parametrize("case", LOSSLESS)
def test_a_lossless_file_gives_the_very_pixels(case: str) -> None:
    expected, make = LOSSLESS[case]
    data = make()
    image = reader.read(data)
    found = image.pixels if expected.ndim == 2 else image.pixels[..., ::-1]
    assert image.order is (ColourOrder.GREY if expected.ndim == 2 else ColourOrder.BGR)
    assert found.dtype == expected.dtype
    np.testing.assert_array_equal(found, expected)
    if expected.dtype == np.uint8:
        np.testing.assert_array_equal(found, np.asarray(Image.open(io.BytesIO(data))))


LOSSY: dict[str, Callable[[], bytes]] = {
    "jpeg": lambda: pillow(RGB, "JPEG"),
    "jpeg grey": lambda: pillow(GREY, "JPEG"),
    "jpeg progressive": lambda: pillow(RGB, "JPEG", progressive=True),
    "jpeg without subsampling": lambda: pillow(RGB, "JPEG", subsampling=0),
    "jpeg with a preview in its EXIF": lambda: pillow(RGB, "JPEG", exif=_upright()),
    "webp": lambda: pillow(RGB, "WEBP"),
}


@pytest.mark.parametrize("case", LOSSY)
def test_a_lossy_file_gives_what_opencv_decodes(case: str) -> None:
    data = LOSSY[case]()
    expected = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    image = reader.read(data)
    np.testing.assert_array_equal(image.pixels, expected)
    assert image.order is (ColourOrder.GREY if "grey" in case else ColourOrder.BGR)
