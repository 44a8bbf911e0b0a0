"""Damage of every kind ends in a named error, or leaves the pixels as they were."""

from __future__ import annotations

import io
from collections.abc import Callable

import cv2
import numpy as np
import pytest
from PIL import Image

from edge_runtime.errors import ImageError, ImageUnreadableError
from edge_runtime.images import reader
from edge_runtime.images.formats import ImageFormat, inspect

_RNG = np.random.default_rng(20)
COLOUR = cv2.GaussianBlur(_RNG.integers(0, 256, (23, 17, 3), dtype=np.uint8), (5, 5), 0)
GREY = COLOUR[..., 1].copy()


def encode(pixels: np.ndarray, kind: str, **options: object) -> bytes:
    """Encode with Pillow, which shares no code with the inspectors."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, kind, **options)
    return buffer.getvalue()


def answer(data: bytes) -> np.ndarray | None:
    """The pixels, or None for a named error; anything else escapes and fails the test."""
    try:
        return reader.read(data, name="case").pixels
    except ImageError:
        return None


SMALL_FILES: dict[str, Callable[[], bytes]] = {
    "png colour": lambda: encode(COLOUR, "PNG"),
    "png grey": lambda: encode(GREY, "PNG"),
    "png 16 bit": lambda: encode(GREY.astype(np.uint16) * 257, "PNG"),
    "jpeg baseline": lambda: encode(COLOUR, "JPEG", quality=90),
    "jpeg progressive": lambda: encode(COLOUR, "JPEG", progressive=True),
    "jpeg grey": lambda: encode(GREY, "JPEG"),
    "jpeg with restarts": lambda: cv2.imencode(".jpg", COLOUR, [cv2.IMWRITE_JPEG_RST_INTERVAL, 1])[1].tobytes(),
    "bmp colour": lambda: encode(COLOUR, "BMP"),
    "bmp grey": lambda: encode(GREY, "BMP"),
    "pnm colour": lambda: encode(COLOUR, "PPM"),
    "pnm grey": lambda: encode(GREY, "PPM"),
    "tiff colour": lambda: encode(COLOUR, "TIFF"),
    "tiff deflate": lambda: encode(COLOUR, "TIFF", compression="tiff_adobe_deflate"),
    "webp lossy": lambda: encode(COLOUR, "WEBP"),
    "webp lossless": lambda: encode(COLOUR, "WEBP", lossless=True),
}


@pytest.mark.parametrize("case", SMALL_FILES)
def test_a_file_cut_at_any_offset_never_gives_other_pixels(case: str) -> None:
    data = SMALL_FILES[case]()
    whole = answer(data)
    assert whole is not None
    passed = {cut: pixels for cut in range(len(data)) if (pixels := answer(data[:cut])) is not None}
    wrong = [cut for cut, pixels in passed.items() if not np.array_equal(pixels, whole)]
    assert not wrong, f"{case}: cuts at {wrong[:5]} of {len(data)} bytes gave other pixels"


@pytest.mark.parametrize("case", ["png colour", "jpeg baseline", "webp lossy", "bmp colour", "pnm grey"])
def test_a_cut_file_is_called_truncated(case: str) -> None:
    data = SMALL_FILES[case]()
    for cut in (len(data) // 2, len(data) - 1):
        with pytest.raises(ImageUnreadableError) as caught:
            inspect(data[:cut], "case")
        assert caught.value.code == "image_truncated"


@pytest.mark.parametrize("case", ["png grey", "tiff deflate"])
def test_any_flipped_bit_of_a_checksummed_image_is_an_error_or_harmless(case: str) -> None:
    data = SMALL_FILES[case]()
    start, stop = (0, len(data)) if case.startswith("png") else _deflate_strip(data)
    whole = answer(data)
    for at in range(start, stop):
        for bit in range(8):
            flipped = bytearray(data)
            flipped[at] ^= 1 << bit
            pixels = answer(bytes(flipped))
            assert pixels is None or np.array_equal(pixels, whole), f"{case}: bit {bit} of byte {at}"


def _deflate_strip(data: bytes) -> tuple[int, int]:
    with Image.open(io.BytesIO(data)) as image:
        start, length = image.tag_v2[273][0], image.tag_v2[279][0]
    return start, start + length


def test_a_bit_flipped_in_a_jpeg_never_raises_an_unnamed_error() -> None:
    data = bytearray(SMALL_FILES["jpeg baseline"]())
    for at in range(0, len(data), 3):
        data[at] ^= 0x10
        answer(bytes(data))
        data[at] ^= 0x10


@pytest.mark.parametrize("case", ["tiff colour", "webp lossless", "bmp grey", "pnm colour"])
def test_a_bit_flipped_in_a_header_never_raises_an_unnamed_error(case: str) -> None:
    data = bytearray(SMALL_FILES[case]())
    for at in range(min(len(data), 200)):
        for bit in (0, 7):
            data[at] ^= 1 << bit
            answer(bytes(data))
            data[at] ^= 1 << bit


def test_a_jpeg_scan_cut_short_and_closed_again_is_damaged() -> None:
    data = encode(_RNG.integers(0, 256, (64, 64, 3), dtype=np.uint8), "JPEG")
    with pytest.raises(ImageUnreadableError) as caught:
        reader.read(data[: len(data) * 3 // 4] + b"\xff\xd9")
    assert caught.value.code == "image_damaged"


def test_a_jpeg_scan_with_foreign_bytes_is_damaged_although_the_decoder_returns_pixels() -> None:
    data = SMALL_FILES["jpeg baseline"]()
    padded = data[:-2] + b"aaaaaaaa" + data[-2:]
    assert cv2.imdecode(np.frombuffer(padded, np.uint8), cv2.IMREAD_UNCHANGED) is not None
    with pytest.raises(ImageUnreadableError) as caught:
        reader.read(padded)
    assert caught.value.code == "image_damaged"


@pytest.mark.parametrize("case", SMALL_FILES)
def test_the_header_is_what_the_encoder_wrote(case: str) -> None:
    header = inspect(SMALL_FILES[case](), "case")
    assert header.format is ImageFormat[case.split(maxsplit=1)[0].upper()]
    assert (header.width_px, header.height_px) == (17, 23)
    assert header.channels == (1 if "grey" in case or "16 bit" in case else 3)
    assert header.bit_depth == (16 if "16 bit" in case else 8)
    assert (header.orientation, header.frames) == (1, 1)
    assert not (header.palette or header.alpha or header.cmyk)
