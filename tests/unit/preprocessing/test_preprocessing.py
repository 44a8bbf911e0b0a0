"""Each step against arithmetic written here, in NumPy and Pillow, on images of odd sizes."""

from __future__ import annotations

from collections.abc import Iterator

import cv2
import numpy as np
import pytest
from PIL import Image

from edge_runtime.errors import ImageUnsupportedError
from edge_runtime.images.colour import ColourOrder
from edge_runtime.images.reader import DecodedImage
from edge_runtime.preprocessing.preprocessor import apply, preprocess
from edge_runtime.preprocessing.steps import (
    LAPLACIAN_SHARPEN_3X3,
    Border,
    Colour,
    Interpolation,
    MinMax,
    PixelType,
    Resize,
    Scale,
    Sharpen,
    Step,
    Window,
)
from tests.unit.preprocessing.differences import worst

SIZES = ((1, 1), (1, 37), (41, 1), (2, 3), (49, 50), (50, 51), (7, 93), (99, 101), (13, 17))
KERNELS = {
    "sharpen": LAPLACIAN_SHARPEN_3X3,
    "lopsided": ((0.0, 1.0, 2.0), (-3.0, 5.0, 0.0), (1.0, 0.0, -4.0)),
    "5x5": tuple(tuple(float((3 * i + j) % 5 - 2) for j in range(5)) for i in range(5)),
}
PADDING = {Border.REFLECT_101: "reflect", Border.REPLICATE: "edge", Border.ZERO: "constant"}


def images(channels: int, count: int = 60) -> Iterator[np.ndarray]:
    """Random uint8 images: noise, saturated noise and smooth ones; H×W for one channel."""
    rng = np.random.default_rng(31)
    for i in range(count):
        size = SIZES[i] if i < len(SIZES) else tuple(rng.integers(1, 90, 2))
        noise = rng.integers(0, 256, (*size, channels), dtype=np.uint8)
        pixels = (noise, (noise > 127).astype(np.uint8) * 255, np.sort(noise, axis=1))[i % 3]
        yield pixels if channels > 1 else pixels[..., 0]


def ask(step: Step, pixels: np.ndarray) -> np.ndarray:
    return np.asarray(apply(step, pixels, "test"))


def correlate(pixels: np.ndarray, kernel: tuple[tuple[float, ...], ...], border: Border) -> np.ndarray:
    """Return the correlation in float64, neither rounded nor clipped."""
    reach = len(kernel) // 2
    widths = [(reach, reach), (reach, reach), (0, 0)][: pixels.ndim]
    padded = np.pad(pixels.astype(np.float64), widths, mode=PADDING[border])  # type: ignore[call-overload]
    height, width = pixels.shape[:2]
    rows = ((i, j, weight) for i, row in enumerate(kernel) for j, weight in enumerate(row))
    return np.sum([weight * padded[i : i + height, j : j + width] for i, j, weight in rows], axis=0)


@pytest.mark.parametrize("border", Border)
@pytest.mark.parametrize("kernel", KERNELS)
def test_sharpening_is_a_saturating_correlation_exactly(kernel: str, border: Border) -> None:
    step = Sharpen(KERNELS[kernel], PixelType.UINT8, border)
    for pixels in (*images(3), *images(1)):
        expected = np.clip(correlate(pixels, KERNELS[kernel], border), 0, 255)
        found = ask(step, pixels)
        assert found.dtype == np.uint8
        assert np.array_equal(found, expected), worst(found, expected)


@pytest.mark.parametrize("border", Border)
def test_float_sharpening_is_neither_rounded_nor_clipped(border: Border) -> None:
    """Whole numbers below 2**24 are exact in float32, so equality is asked for, far outside 0..255."""
    step = Sharpen(LAPLACIAN_SHARPEN_3X3, PixelType.FLOAT32, border)
    lowest, highest = 0.0, 0.0
    for pixels in images(3):
        expected = correlate(pixels, LAPLACIAN_SHARPEN_3X3, border)
        found = ask(step, pixels)
        assert found.dtype == np.float32
        assert np.array_equal(found, expected), worst(found, expected)
        lowest, highest = min(lowest, found.min()), max(highest, found.max())
    assert lowest < -1000 < 1000 < highest, f"the images reach {lowest}..{highest} only"


def taps(size: int, result: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the two neighbours of each new pixel, and the second's weight in 256ths."""
    centre = (np.arange(result) + 0.5) * (size / result) - 0.5
    first = np.floor(centre).astype(int)
    weight = np.rint((centre - first) * 256).astype(int)
    outside = (first < 0) | (first >= size - 1)
    first = np.clip(first, 0, size - 1)
    return first, np.minimum(first + 1, size - 1), np.where(outside, 0, weight)


def linear_exact(pixels: np.ndarray, width: int, height: int) -> np.ndarray:
    """Bilinear in whole numbers: weights in 256ths, one rounding at the end."""
    wide = pixels.astype(np.int64)
    left, right, x = taps(pixels.shape[1], width)
    upper, lower, y = taps(pixels.shape[0], height)
    x, y = x[:, np.newaxis], y[:, np.newaxis, np.newaxis]
    rows = wide[:, left] * (256 - x) + wide[:, right] * x
    return (rows[upper] * (256 - y) + rows[lower] * y + 32768) >> 16


@pytest.mark.parametrize("size", [(50, 50), (128, 96), (3, 7)])
def test_linear_exact_is_bilinear_in_whole_numbers(size: tuple[int, int]) -> None:
    step = Resize(*size, Interpolation.LINEAR_EXACT, PixelType.UINT8)
    for pixels in images(3):
        found, expected = ask(step, pixels), linear_exact(pixels, *size)
        assert found.dtype == np.uint8
        assert np.array_equal(found, expected), worst(found, expected)


def test_linear_departs_from_linear_exact_by_at_most_one_level() -> None:
    """The original program uses LINEAR; its bits differ between processors, by this much from ours."""
    far = 0
    for pixels in images(3, 200):
        original = cv2.resize(pixels, (50, 50), interpolation=cv2.INTER_LINEAR).astype(int)
        found = ask(Resize(50, 50, Interpolation.LINEAR_EXACT, PixelType.UINT8), pixels)
        far = max(far, int(np.abs(found - original).max()))
    assert far <= 1, f"LINEAR departs by {far} levels"


def between(pixels: np.ndarray, result: int) -> np.ndarray:
    """Return ``result`` rows, each between the two old ones whose centres enclose its own, in float64."""
    place = np.clip((np.arange(result) + 0.5) * (len(pixels) / result) - 0.5, 0, len(pixels) - 1)
    first = np.floor(place).astype(int)
    share = (place - first).reshape(-1, *(1,) * (pixels.ndim - 1))
    return pixels[first] * (1 - share) + pixels[np.minimum(first + 1, len(pixels) - 1)] * share


@pytest.mark.parametrize("channels", [1, 3])
def test_float_linear_lies_between_pixel_centres_and_is_neither_rounded_nor_clipped(channels: int) -> None:
    """Places are rounded to float32: a step of 2**-23 of the side along each axis, times the largest contrast."""
    rng = np.random.default_rng(34)
    for i, pixels in enumerate(images(channels, 200)):
        wide = pixels.astype(np.float32) * np.float32(11) - np.float32(900) if i % 2 else pixels
        width, height = (int(side) for side in rng.integers(1, 90, 2))
        found = ask(Resize(width, height, Interpolation.LINEAR, PixelType.FLOAT32), wide)
        rows = between(wide.astype(np.float64), height)
        expected = between(rows.swapaxes(0, 1), width).swapaxes(0, 1)
        assert (found.dtype, found.shape) == (np.float32, (height, width, *pixels.shape[2:]))
        limit = 255 * 11 * 2.0**-23 * (sum(pixels.shape[:2]) + 8)
        assert np.abs(found - expected).max() <= limit, f"{pixels.shape}: {worst(found, expected)}, limit {limit:.2g}"


def test_float_linear_leaves_its_image_as_it_was() -> None:
    pixels = np.random.default_rng(35).random((40, 30, 3), dtype=np.float32)
    before = pixels.copy()
    for size in ((7, 9), (30, 40), (30, 9), (61, 83)):
        ask(Resize(*size, Interpolation.LINEAR, PixelType.FLOAT32), pixels)
    assert np.array_equal(pixels, before)


@pytest.mark.parametrize("result", PixelType)
def test_nearest_is_pillows_nearest(result: PixelType) -> None:
    rng = np.random.default_rng(32)
    for pixels in (*images(3, 150), *images(1)):
        width, height = (int(side) for side in rng.integers(1, 90, 2))
        expected = np.asarray(Image.fromarray(pixels).resize((width, height), Image.Resampling.NEAREST))
        found = ask(Resize(width, height, Interpolation.NEAREST, result), pixels)
        assert np.array_equal(found, expected), f"{pixels.shape} to {found.shape}: {worst(found, expected)}"


@pytest.mark.parametrize("result", PixelType)
def test_area_is_the_mean_of_the_covered_pixels(result: PixelType) -> None:
    """Shrunk by 4, 2, 3: exact in float32 to 1e-4; uint8 within the half level that rounding takes."""
    rng = np.random.default_rng(33)
    tolerance = 0.5 if result is PixelType.UINT8 else 1e-4
    for fold in (2, 3, 4):
        pixels = rng.integers(0, 256, (fold * 11, fold * 7, 3), dtype=np.uint8)
        expected = pixels.reshape(11, fold, 7, fold, 3).mean(axis=(1, 3))
        found = ask(Resize(7, 11, Interpolation.AREA, result), pixels)
        assert np.abs(found - expected).max() <= tolerance, worst(found, expected)


@pytest.mark.parametrize("result", PixelType)
@pytest.mark.parametrize("interpolation", Interpolation)
def test_a_image_of_the_right_size_is_left_as_it_is(interpolation: Interpolation, result: PixelType) -> None:
    if result is PixelType.FLOAT32 and interpolation.value.endswith(("exact", "antialias")):
        return  # no such step
    pixels = next(p for p in images(3) if p.shape == (99, 101, 3))
    found = ask(Resize(101, 99, interpolation, result), pixels)
    assert found.dtype == result.value
    assert np.array_equal(found, pixels)


def test_scale_divides_then_adds() -> None:
    for divisor, offset in ((255.0, 0.0), (127.5, -1.0), (1.0, -117.0), (-3.0, 0.5)):
        found = ask(Scale(divisor, offset), np.arange(256, dtype=np.uint8)[np.newaxis])
        expected = np.arange(256, dtype=np.float32) / np.float32(divisor) + np.float32(offset)
        assert found.dtype == np.float32
        assert np.array_equal(found[0], expected), worst(found[0], expected)


def test_min_max_stretches_all_channels_together() -> None:
    """Within 1e-6 of the range, the rounding of float32; the ends are met to the same."""
    for low, high in ((0.0, 1.0), (-1.0, 1.0), (0.0, 255.0)):
        for pixels in (p for p in images(3) if p.min() < p.max()):
            wide = pixels.astype(np.float64)
            expected = (wide - wide.min()) / (wide.max() - wide.min()) * (high - low) + low
            found = ask(MinMax(low, high), pixels)
            assert found.dtype == np.float32
            assert np.abs(found - expected).max() <= 1e-6 * (high - low), worst(found, expected)


def test_min_max_of_a_blank_image_is_refused() -> None:
    with pytest.raises(ImageUnsupportedError, match="blank: found 7 in every pixel") as caught:
        apply(MinMax(0.0, 1.0), np.full((9, 9), 7, np.uint8), "blank")
    assert caught.value.code == "image_blank"


@pytest.mark.parametrize("low, high", [(0, 65535), (1000, 4095), (100, 101), (0, 255), (30_000, 65_535)])
def test_a_window_is_exact_for_each_of_the_65536_values(low: int, high: int) -> None:
    """``high - low`` is odd, so that no value lies half-way between two levels."""
    values = np.arange(65536, dtype=np.uint16).reshape(256, 256)
    wide = np.clip(values.astype(np.int64), low, high) - low
    expected = (2 * 255 * wide + (high - low)) // (2 * (high - low))
    found = ask(Window(low, high), values)
    assert found.dtype == np.uint8
    assert np.array_equal(found, expected), worst(found, expected)


def test_grey_is_bt_601_within_a_level_of_pillows() -> None:
    steps = (Colour(ColourOrder.GREY),)
    for pixels in images(3):
        found = preprocess(DecodedImage("p", pixels, ColourOrder.RGB), steps)[..., 0]
        formula = pixels @ np.array([0.299, 0.587, 0.114])
        assert np.abs(found - formula).max() <= 0.51, worst(found, formula)
        pillow = np.asarray(Image.fromarray(pixels).convert("L"))
        assert np.abs(found - pillow).max() <= 1, worst(found, pillow)


def test_a_deeper_image_needs_a_window() -> None:
    deep = DecodedImage("deep.png", np.full((50, 50), 900, np.uint16), ColourOrder.GREY)
    rest = (Colour(ColourOrder.RGB), Resize(50, 50, Interpolation.AREA, PixelType.UINT8))
    with pytest.raises(ImageUnsupportedError, match=r"deep\.png: found uint16 pixels") as caught:
        preprocess(deep, rest)
    assert caught.value.code == "image_depth"
    assert np.all(preprocess(deep, (Window(0, 1800), *rest)) == 128)
