"""Each step against arithmetic written here, in NumPy and Pillow, on images of odd sizes."""

from __future__ import annotations

from collections.abc import Iterator

import cv2
import numpy as np
import pytest
from PIL import Image

from edge_runtime.errors import ImageUnsupportedError, ManifestError
from edge_runtime.images.colour import ColourOrder
from edge_runtime.images.reader import DecodedImage, read
from edge_runtime.preprocessing.preprocessor import Preprocessor, apply, look_up, preprocess
from edge_runtime.preprocessing.steps import (
    LAPLACIAN_SHARPEN_3X3,
    Border,
    Colour,
    Interpolation,
    MinMax,
    Normalize,
    PixelType,
    Resize,
    Scale,
    Sharpen,
    Step,
    Window,
    check_order,
)
from edge_runtime.serialisation.records import canonical_json, from_dict

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


def worst(found: np.ndarray, expected: np.ndarray) -> str:
    difference = np.abs(found.astype(np.float64) - expected)
    place = np.unravel_index(difference.argmax(), difference.shape)
    return f"worst at {place} of {found.shape}: found {found[place]}, expected {expected[place]}"


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
    if (interpolation, result) == (Interpolation.LINEAR_EXACT, PixelType.FLOAT32):
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


SCALE = Scale(divisor=255.0, offset=-0.5)
SMALL = Resize(8, 8, Interpolation.LINEAR_EXACT, PixelType.UINT8)
GREY = Colour(ColourOrder.GREY)


@pytest.mark.parametrize(
    "steps",
    [(GREY, SMALL, SCALE), (Colour(ColourOrder.BGR), SMALL), (GREY, SMALL, SCALE, Scale(0.3, 0.1))],
    ids=["scale", "none", "two"],
)
def test_levels_and_their_values_are_the_steps_one_after_the_other(steps: tuple[Step, ...]) -> None:
    image = read(np.random.default_rng(84).integers(0, 256, (20, 30, 3), dtype=np.uint8))
    preprocessor = Preprocessor(steps)
    levels = preprocessor.levels(image)
    assert levels.dtype == np.uint8
    assert preprocessor.values is not None
    expected = levels
    for step in steps[2:]:
        expected = apply(step, expected, "picture")
    assert np.array_equal(preprocessor.values[levels], np.asarray(expected, np.float32))
    assert np.array_equal(preprocess(image, steps), np.asarray(expected, np.float32))


def test_all_256_values_are_what_whole_images_get() -> None:
    every = np.arange(256, dtype=np.uint8).reshape(16, 16)
    same = Resize(16, 16, Interpolation.LINEAR_EXACT, PixelType.UINT8)
    values = Preprocessor((GREY, same, SCALE)).values
    assert values is not None
    assert values.tobytes() == apply(SCALE, every, "picture").astype(np.float32).tobytes()


@pytest.mark.parametrize("step", [MinMax(0.0, 1.0), Resize(8, 8, Interpolation.LINEAR, PixelType.FLOAT32)])
def test_where_values_depend_on_neighbours_there_is_no_table(step: Step) -> None:
    image = read(np.random.default_rng(85).integers(0, 256, (20, 30), dtype=np.uint8))
    preprocessor = Preprocessor((GREY, SMALL, step, SCALE))
    assert preprocessor.values is None
    assert np.array_equal(preprocessor.levels(image), preprocess(image, (GREY, SMALL, step, SCALE)))


CAFFE = Normalize((103.939, 116.779, 123.68), (1.0, 1.0, 1.0))
TORCH = Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
BY_CHANNEL = {
    "caffe": (Colour(ColourOrder.BGR), SMALL, CAFFE),
    "torch": (Colour(ColourOrder.RGB), SMALL, Scale(255.0, 0.0), TORCH),
    "scale after": (Colour(ColourOrder.RGB), SMALL, TORCH, Scale(3.0, 0.5), CAFFE),
    "grey": (GREY, SMALL, Normalize((120.5,), (61.3,))),
    "float resize": (Colour(ColourOrder.RGB), Resize(8, 8, Interpolation.LINEAR, PixelType.FLOAT32), CAFFE),
    "float sharpen": (
        *(Colour(ColourOrder.RGB), SMALL, TORCH),
        Sharpen(LAPLACIAN_SHARPEN_3X3, PixelType.FLOAT32, Border.ZERO),
    ),
}


def by_hand(step: Step, tensor: np.ndarray) -> np.ndarray:
    """Scale and normalise number by number in float32; any other step as it is tested above."""
    if not isinstance(step, Scale | Normalize):
        return np.asarray(apply(step, tensor, "picture"), np.float32)
    found = np.empty(tensor.shape, np.float32)
    for place in np.ndindex(tensor.shape):
        x = np.float32(tensor[place])
        channel = place[2] if tensor.ndim == 3 else 0
        if isinstance(step, Scale):
            x = np.float32(x / np.float32(step.divisor)) + np.float32(step.offset)
        else:
            x = np.float32(x - np.float32(step.mean[channel])) / np.float32(step.std[channel])
        found[place] = x
    return found


@pytest.mark.parametrize("name", BY_CHANNEL)
@pytest.mark.parametrize("channels", [1, 3])
def test_values_by_channel_are_the_same_bits_on_every_path(name: str, channels: int) -> None:
    steps = BY_CHANNEL[name]
    shape = (20, 30, 3)[: 2 + (channels == 3)]
    image = read(np.random.default_rng(86).integers(0, 256, shape, dtype=np.uint8))
    preprocessor = Preprocessor(steps)
    first = Preprocessor(steps[:2])
    expected = first.levels(image) if first.values is not None else first.tensor(image)
    for step in steps[2:]:
        expected = by_hand(step, expected)
    found = preprocess(image, steps)
    assert found.tobytes() == expected.tobytes(), worst(found, expected)
    assert (preprocessor.values is None) is name.startswith("float")
    if preprocessor.values is not None:
        looked_up = look_up(np.stack([preprocessor.levels(image)] * 2), preprocessor.values)
        assert looked_up.tobytes() == expected.tobytes() * 2
        plain = apply(steps[-1], apply(steps[2], preprocessor.levels(image), ""), "") if len(steps) == 4 else expected
        assert looked_up[0].tobytes() == np.asarray(plain).tobytes()


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int16, np.float32])
def test_a_table_of_each_channel_is_looked_up_in_its_own_column(dtype: type) -> None:
    rng = np.random.default_rng(87)
    levels = rng.integers(0, 256, (2, 5, 7, 3), dtype=np.uint8)
    table = rng.integers(0, 100, (256, 3)).astype(dtype)
    found = look_up(levels, table)
    assert found.dtype == dtype
    for channel in range(3):
        assert np.array_equal(found[..., channel], table[levels[..., channel], channel])


@pytest.mark.parametrize(
    ("steps", "says"),
    [
        ((GREY, SMALL, CAFFE), "normalize has 3 means, found 1 channels"),
        ((Colour(ColourOrder.RGB), SMALL, Normalize((1.0,), (1.0,))), "normalize has 1 means, found 3 channels"),
        ((SMALL, CAFFE, Colour(ColourOrder.RGB)), "found no colour step before it"),
        ((Colour(ColourOrder.RGB), CAFFE, SMALL), "resize on uint8 comes after a float32 step"),
    ],
)
def test_a_mean_for_each_channel_of_the_colour_step(steps: tuple[Step, ...], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        check_order(steps)


@pytest.mark.parametrize(
    ("mean", "std", "says"),
    [
        ((1.0, 2.0), (1.0, 2.0), "found 2 means and 2 deviations"),
        ((1.0, 2.0, 3.0), (1.0,), "found 3 means and 1 deviations"),
        ((), (), "found 0 means"),
        ((1.0,), (0.0,), "expected numbers above 0"),
        ((1.0,), (-2.0,), "expected numbers above 0"),
        ((1.0,), (1e-50,), "expected numbers above 0"),
        ((1e39,), (1.0,), "expected numbers within 1e"),
    ],
)
def test_means_and_deviations_that_cannot_be_meant(mean: tuple[float, ...], std: tuple[float, ...], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        Normalize(mean, std)


@pytest.mark.parametrize("key", ["divisor", "offset"])
def test_a_scale_with_a_list_names_the_step_for_it(key: str) -> None:
    value = {"kind": "scale", "divisor": 1.0, "offset": 0.0} | {key: [1.0, 2.0, 3.0]}
    with pytest.raises(ManifestError, match=rf'spec\.{key}: found \[1.0, 2.0, 3.0\].*"kind": "normalize"'):
        from_dict(Scale, value, "spec")


def test_a_scale_reads_and_writes_as_before() -> None:
    text = '[{"divisor":255.0,"kind":"scale","offset":-0.5},{"kind":"normalize","mean":[1.0],"std":[2.0]}]'
    assert canonical_json((SCALE, Normalize((1.0,), (2.0,)))) == text
