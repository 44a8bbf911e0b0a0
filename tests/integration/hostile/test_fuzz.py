"""Whatever bytes or arrays come: an image of a legal dtype and shape, or a refusal by a known name.

The everyday run is short and always the same. ``EDGE_FUZZ_EXAMPLES=20000`` (the session ``fuzz`` of nox) asks for as
many examples of each test, other ones in every run; a failure prints the example that reproduces it.
"""

from __future__ import annotations

import os
import re
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from edge_runtime.errors import ImageError
from edge_runtime.images import reader
from edge_runtime.images.colour import ColourOrder
from edge_runtime.images.formats import inspect, png
from edge_runtime.images.reader import DecodedImage
from edge_runtime.preprocessing.preprocessor import preprocess
from edge_runtime.preprocessing.steps import Colour, Interpolation, PixelType, Resize, Scale, Step, Window
from tests.places import ROOT
from tests.unit.images import hostile_files as make
from tests.unit.images.hostile_files import DEEP, GREY, RGB, encode

LONG = int(os.environ.get("EDGE_FUZZ_EXAMPLES", "0"))
KNOWN = set(re.findall(r"`(image_\w+)`", (ROOT / "docs/reference/images.md").read_text(encoding="utf-8")))
STEPS: tuple[Step, ...] = (
    Window(0, 255),
    Colour(ColourOrder.RGB),
    Resize(7, 5, Interpolation.LINEAR_EXACT, PixelType.UINT8),
    Scale(255.0, 0.0),
)


def runs(everyday: int) -> Any:
    """Settings: ``everyday`` examples, the same ones each time; or LONG ones, new each time."""
    return settings(
        max_examples=LONG or everyday,
        derandomize=not LONG,
        deadline=None,
        database=None,
        print_blob=True,
        suppress_health_check=list(HealthCheck),
    )


VALID: dict[str, bytes] = {
    "png": encode(RGB, "PNG"),
    "png 16 bit": encode(DEEP, "PNG"),
    "png interlaced": make.interlaced_png(GREY),
    "png with chunks": encode(RGB, "PNG", exif=make.turned(1), icc_profile=b"profile"),
    "png palette": encode(GREY, "PNG", mode="P"),
    "png with opaque alpha": encode(RGB, "PNG", mode="RGBA"),
    "png grey with opaque alpha": encode(GREY, "PNG", mode="LA"),
    "tiff with opaque alpha": encode(RGB, "TIFF", mode="RGBA", compression="tiff_adobe_deflate"),
    "tiff deflate with a predictor": encode(RGB, "TIFF", compression="tiff_adobe_deflate", tiffinfo={317: 2}),
    "jpeg": encode(RGB, "JPEG", exif=make.turned(1)),
    "jpeg progressive": encode(RGB, "JPEG", progressive=True),
    "jpeg grey": encode(GREY, "JPEG"),
    "tiff": encode(RGB, "TIFF", strip_size=288),
    "tiff deflate": encode(DEEP, "TIFF", compression="tiff_adobe_deflate"),
    "bmp": encode(RGB, "BMP"),
    "bmp grey": encode(GREY, "BMP"),
    "ppm": encode(RGB, "PPM"),
    "pgm 16 bit": encode(DEEP, "PPM"),
    "webp": encode(RGB, "WEBP"),
    "webp lossless": encode(RGB, "WEBP", lossless=True, exif=make.turned(1)),
}


def outcome(source: bytes | np.ndarray, order: ColourOrder = ColourOrder.RGB) -> DecodedImage | None:
    """The image, checked; None for a refusal by a known name. Anything else escapes."""
    try:
        image = reader.read(source, order=order, name="fuzz")
    except ImageError as error:
        assert error.code in KNOWN, error.code
        assert re.match(r"(?s)fuzz: found .*expected .*\.$", error.message), error.message
        return None
    pixels = image.pixels
    assert pixels.dtype in (np.uint8, np.uint16)
    assert pixels.dtype.isnative and pixels.flags.c_contiguous and pixels.size
    assert (pixels.ndim, *pixels.shape[2:]) == ((2,) if image.order is ColourOrder.GREY else (3, 3))
    tensor = preprocess(image, STEPS)
    assert (tensor.dtype, tensor.shape) == (np.float32, (5, 7, 3))
    assert 0.0 <= tensor.min() <= tensor.max() <= 1.0
    return image


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """A valid file with up to six changes: bits, numbers, cuts, inserts, copies, parts of other files."""
    data = bytearray(VALID[draw(st.sampled_from(sorted(VALID)))])
    for _ in range(draw(st.integers(1, 6))):
        # Heads decide most: half of all changes fall into the first 120 bytes.
        at = draw(st.integers(0, max(0, min(len(data), draw(st.sampled_from([120, 1 << 20]))) - 1)))
        change = draw(st.sampled_from(["bit", "byte", "number", "cut", "drop", "insert", "repeat", "splice"]))
        length = draw(st.integers(1, 40))
        if change == "bit" and data:
            data[at] ^= 1 << draw(st.integers(0, 7))
        elif change == "byte":
            data[at : at + 1] = draw(st.binary(min_size=1, max_size=1))
        elif change == "number":
            value = draw(st.sampled_from([0, 1, 0x7FFF, 0xFFFF, 0x10000, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF]))
            data[at : at + 4] = value.to_bytes(4, draw(st.sampled_from(["little", "big"])))
        elif change == "cut":
            del data[at:]
        elif change == "drop":
            del data[at : at + length]
        elif change == "insert":
            data[at:at] = draw(st.binary(min_size=1, max_size=40))
        elif change == "repeat":
            data[at:at] = data[at : at + length] * draw(st.integers(1, 50))
        else:
            other = VALID[draw(st.sampled_from(sorted(VALID)))]
            start = draw(st.integers(0, len(other) - 1))
            data[at : at + length] = other[start : start + draw(st.integers(1, 200))]
    return bytes(data)


@runs(3000)
@given(mutated())
def test_a_mutated_file_is_a_image_or_a_named_refusal(data: bytes) -> None:
    outcome(data)


@runs(600)
@given(st.sampled_from([b"", *(data[:12] for data in VALID.values()), b"P5 3 3 255\n"]), st.binary(max_size=400))
def test_noise_behind_any_signature_is_a_image_or_a_named_refusal(head: bytes, noise: bytes) -> None:
    outcome(head + noise)


@runs(600)
@given(mutated())
def test_pixels_are_those_that_the_header_declares(data: bytes) -> None:
    image = outcome(data)
    if image is not None:
        header = inspect(data, "fuzz")
        assert image.pixels.shape[:2] == (header.height_px, header.width_px)
        assert image.pixels.dtype.itemsize * 8 == header.bit_depth
        unchanged = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
        if unchanged.ndim == 3 and unchanged.shape[2] == 4:  # its alpha is opaque, or it would have been refused
            unchanged = unchanged[..., 0] if image.pixels.ndim == 2 else unchanged[..., :3]
        np.testing.assert_array_equal(image.pixels, unchanged)


@runs(400)
@given(mutated())
def test_rows_decoded_in_bands_are_those_decoded_at_once(data: bytes) -> None:
    at_once = outcome(data)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(png, "_AT_ONCE_IN", 0)
        in_bands = outcome(data)
    if at_once is not None and in_bands is not None:
        np.testing.assert_array_equal(in_bands.pixels, at_once.pixels)
    assert at_once is not None or in_bands is None


DTYPES = st.one_of(
    arrays.scalar_dtypes(),
    st.sampled_from(["u1", "<u2", ">u2", "?", "O", "V3", "u1,u2"]).map(np.dtype),
)


@st.composite
def any_array(draw: st.DrawFn) -> np.ndarray:
    """Any dtype, up to four sides of 0..9; sometimes transposed, reversed, or one value seen everywhere."""
    shape = tuple(draw(st.lists(st.integers(0, 9), max_size=4)))
    if draw(st.booleans()):
        shape = (*shape[:2], draw(st.sampled_from([1, 2, 3, 4])))
    dtype = draw(DTYPES)
    count = int(np.prod(shape)) * dtype.itemsize
    flat = np.zeros(shape, dtype)
    if dtype.kind in "uifb?":
        noise = np.frombuffer(draw(st.binary(min_size=1, max_size=64)), np.uint8)
        flat = np.resize(noise, count).view(dtype).reshape(shape)
    view = draw(st.sampled_from(["as is", "transposed", "reversed", "every second", "broadcast", "frozen"]))
    if view == "transposed":
        return flat.T
    if view == "reversed":
        return flat[::-1] if flat.ndim else flat
    if view == "every second":
        return flat[..., ::2] if flat.ndim else flat
    if view == "broadcast":
        return np.broadcast_to(flat, (2, *flat.shape))
    flat.flags.writeable = view != "frozen"
    return flat


@runs(1500)
@given(any_array(), st.sampled_from(ColourOrder))
def test_an_array_is_its_own_image_or_a_named_refusal(array: np.ndarray, order: ColourOrder) -> None:
    before = array.tobytes()
    image = outcome(array, order)
    if image is not None:
        np.testing.assert_array_equal(image.pixels, array.reshape(image.pixels.shape))
    assert array.tobytes() == before


def test_unmutated_files_are_read_so_that_the_fuzz_starts_from_images() -> None:
    assert [kind for kind, data in VALID.items() if outcome(data) is None] == ["png palette"]
