"""Pad, centre crop and resize_shorter against NumPy, and what they mean for sizes, heatmaps and tiles."""

from __future__ import annotations

import dataclasses
from fractions import Fraction
from typing import Any

import cv2
import numpy as np
import pytest

from edge_runtime.bundle.policy import DecisionPolicy, Head
from edge_runtime.bundle.spec import ModelSpec
from edge_runtime.errors import ImageSizeError, ManifestError, UsageError
from edge_runtime.images.colour import ColourOrder
from edge_runtime.images.reader import DecodedImage
from edge_runtime.images.region import RegionCrop
from edge_runtime.preprocessing.preprocessor import apply, preprocess
from edge_runtime.preprocessing.steps import (
    CentreCrop,
    Colour,
    Interpolation,
    Letterbox,
    Pad,
    PixelType,
    Resize,
    ResizeShorter,
    Scale,
    Step,
    Target,
    covered,
)
from edge_runtime.serialisation.records import from_dict, to_dict
from edge_runtime.tiling.prediction import grid_of

RNG = np.random.default_rng(55)
SIZES = ((64, 64), (50, 201), (201, 50), (1, 90), (90, 1), (1, 1), (63, 64), (3, 1000), (33, 47))
PIXELS, RATIO = Target.PIXELS, Target.ASPECT_RATIO
GREY = Colour(ColourOrder.GREY)
HALF = Resize(24, 16, Interpolation.LINEAR_EXACT, PixelType.UINT8)


def noise(width: int, height: int, channels: int = 3) -> np.ndarray:
    return np.asarray(RNG.integers(1, 256, (height, width, channels)[: 2 + (channels == 3)], dtype=np.uint8))


def padded(pixels: np.ndarray, frame: tuple[int, int], value: float) -> np.ndarray:
    """Pad to a frame with NumPy's own function; the spare pixel lies to the right or below."""
    across, down = frame[0] - pixels.shape[1], frame[1] - pixels.shape[0]
    beyond = [(down // 2, -(-down // 2)), (across // 2, -(-across // 2)), (0, 0)][: pixels.ndim]
    return np.pad(pixels, beyond, constant_values=value)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("frame", [(64, 64), (97, 40), (1, 1), (300, 7)])
def test_pad_to_pixels_is_numpys(frame: tuple[int, int], channels: int) -> None:
    for width, height in SIZES:
        pixels = noise(width, height, channels)
        found = apply(Pad(*frame, PIXELS, 114.0), pixels, "noise")
        expected = padded(pixels, (max(width, frame[0]), max(height, frame[1])), 114)
        assert found.dtype == np.uint8
        assert np.array_equal(found, expected), f"{width}x{height} in {frame}"


@pytest.mark.parametrize("ratio", [(1, 1), (224, 224), (4, 3), (224, 300)])
def test_pad_to_a_ratio_adds_equal_borders_and_comes_within_two_pixels(ratio: tuple[int, int]) -> None:
    step = Pad(*ratio, RATIO, 0.0)
    for width, height in SIZES:
        pixels = noise(width, height)
        found = apply(step, pixels, "noise")
        wanted = Fraction(*ratio)
        across, down = max(Fraction(width), height * wanted), max(Fraction(height), width / wanted)
        assert 0 <= across - found.shape[1] < 2
        assert 0 <= down - found.shape[0] < 2
        left, top = (found.shape[1] - width) / 2, (found.shape[0] - height) / 2
        assert left.is_integer()
        assert top.is_integer()
        assert np.array_equal(found, padded(pixels, (found.shape[1], found.shape[0]), 0))


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_a_centre_crop_is_numpys_slice(dtype: Any) -> None:
    for width, height in ((64, 64), (65, 47), (48, 40), (1000, 41)):
        pixels = noise(width, height).astype(dtype)
        found = apply(CentreCrop(48, 40, PIXELS), pixels, "noise")
        left, top = (width - 48) // 2, (height - 40) // 2
        assert found.dtype == dtype
        assert np.array_equal(found, pixels[top : top + 40, left : left + 48])
        assert not np.shares_memory(found, pixels)


@pytest.mark.parametrize("ratio", [(1, 1), (4, 3), (224, 300)])
def test_a_centre_crop_to_a_ratio_is_the_largest_that_fits(ratio: tuple[int, int]) -> None:
    for width, height in SIZES:
        found = apply(CentreCrop(*ratio, RATIO), noise(width, height), "noise")
        across, down = found.shape[1], found.shape[0]
        wanted = Fraction(*ratio)
        assert (across, down) == (max(min(width, int(height * wanted)), 1), max(min(height, int(width / wanted)), 1))
        assert across == width or down == height


def test_an_image_smaller_than_its_crop_is_refused_and_never_enlarged() -> None:
    with pytest.raises(ImageSizeError, match="small: found 40x100 px, expected at least 48x40 px") as caught:
        apply(CentreCrop(48, 40, PIXELS), noise(40, 100), "small")
    assert caught.value.code == "image_too_small"


def test_resize_shorter_rounds_the_longer_side_down() -> None:
    """The sizes of torchvision's ``Resize(256)``, whose rule is ``int(256 * long / short)``."""
    for width, height in ((500, 375), (375, 500), (333, 500), (256, 256), (100, 4000), (257, 256)):
        short, long = min(width, height), max(width, height)
        expected = {short: 256, long: int(256 * long / short)}
        found = apply(ResizeShorter(256, Interpolation.NEAREST, PixelType.UINT8), noise(width, height), "noise")
        assert found.shape[:2] == (expected[height], expected[width])


def test_resize_shorter_resizes_as_resize_does() -> None:
    pixels = noise(201, 150)
    for method, result in ((Interpolation.LINEAR_EXACT, PixelType.UINT8), (Interpolation.BICUBIC, PixelType.FLOAT32)):
        found = apply(ResizeShorter(60, method, result), pixels, "noise")
        assert np.array_equal(found, apply(Resize(80, 60, method, result), pixels, "noise"))


@pytest.mark.parametrize(
    "step",
    [
        Pad(1, 1, RATIO, 0.0),
        Pad(4096, 4096, PIXELS, 0.0),
        ResizeShorter(4096, Interpolation.NEAREST, PixelType.UINT8),
    ],
)
def test_a_step_that_would_fill_the_memory_is_refused(step: Step) -> None:
    with pytest.raises(ImageSizeError, match=f"thin: found an image that {step.KIND} makes .* at most 64000000") as it:
        apply(step, np.zeros((2, 65535), np.uint8), "thin")
    assert it.value.code == "image_too_large"


def spec(*steps: Step, **changes: Any) -> ModelSpec:
    made = ModelSpec(
        "made",
        "1.0.0",
        "",
        (GREY, HALF),
        ("a", "b"),
        ("b",),
        Head.SOFTMAX,
        DecisionPolicy(cutoff=0.5, confidence_floor=0.0),
    )
    return dataclasses.replace(made, steps=(GREY, *steps), **changes)


SHORTER = ResizeShorter(40, Interpolation.BICUBIC_ANTIALIAS, PixelType.UINT8)
CROP = CentreCrop(32, 28, PIXELS)


def test_a_spec_with_these_steps_survives_json() -> None:
    made = spec(Pad(4, 3, RATIO, 114.0), SHORTER, CROP, Scale(127.5, -1.0))
    stored = to_dict(made)
    assert stored["steps"][1:4] == [
        {"kind": "pad", "width_px": 4, "height_px": 3, "to": "aspect_ratio", "value": 114.0},
        {"kind": "resize_shorter", "shorter_px": 40, "interpolation": "bicubic_antialias", "result": "uint8"},
        {"kind": "centre_crop", "width_px": 32, "height_px": 28, "to": "pixels"},
    ]
    assert from_dict(ModelSpec, stored, "spec") == made
    others = [
        spec(SHORTER, CROP),
        spec(SHORTER, CentreCrop(28, 32, PIXELS)),
        spec(SHORTER, CROP, Pad(40, 40, PIXELS, 0.0)),
    ]
    assert len({each.contract for each in (made, *others)}) == 4


@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        ((SHORTER, CROP), (32, 28)),
        ((HALF, Pad(40, 8, PIXELS, 0.0)), (40, 16)),
        ((HALF, Pad(1, 1, RATIO, 0.0)), (24, 24)),
        ((HALF, CentreCrop(1, 1, RATIO)), (16, 16)),
        ((CentreCrop(1, 1, RATIO), HALF), (24, 16)),
        ((HALF, ResizeShorter(32, Interpolation.NEAREST, PixelType.UINT8)), (48, 32)),
        ((SHORTER, CROP, Letterbox(50, 60)), (50, 60)),
    ],
)
def test_the_specs_size_is_that_of_every_tensor(steps: tuple[Step, ...], expected: tuple[int, int]) -> None:
    made = spec(*steps)
    assert made.size_px == expected
    for width, height in ((90, 61), (61, 90), (8, 8), (8, 200)):
        image = DecodedImage("noise", noise(width, height), ColourOrder.RGB)
        assert preprocess(image, made.steps).shape == (expected[1], expected[0], 1)


@pytest.mark.parametrize(
    ("steps", "says"),
    [
        ((SHORTER,), "found no resize step"),
        ((CentreCrop(1, 1, RATIO), Pad(64, 64, PIXELS, 0.0)), "found no resize step"),
        ((CROP,), "centre_crop keeps 32x28 px, found an image of 8x8 px before it. Set min_side_px to 32, or put"),
        ((HALF, CROP), "centre_crop keeps 32x28 px, found an image of 24x16 px before it. Put a resize"),
        ((SHORTER, CentreCrop(41, 40, PIXELS)), "found an image of 40x40 px"),
        ((Pad(2, 1, RATIO, 0.0), CentreCrop(9, 8, PIXELS)), "found an image of 8x8 px"),
        ((HALF, Pad(1, 4096, RATIO, 0.0)), "pad gives 24x98304 px, expected sides of at most 4096"),
        ((HALF, Pad(40, 40, PIXELS, 0.5)), r"pad with value 0\.5 on uint8, expected a whole number of 0\.\.255"),
        ((HALF, Pad(40, 40, PIXELS, 256.0)), r"expected a whole number of 0\.\.255"),
        ((Scale(255.0, 0.0), SHORTER, CROP), "resize_shorter on uint8 comes after a float32 step"),
    ],
)
def test_steps_that_cannot_be_are_refused_with_the_remedy(steps: tuple[Step, ...], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        spec(*steps)
    with pytest.raises(ManifestError, match=says):
        from_dict(ModelSpec, to_dict(spec(HALF)) | {"steps": to_dict((GREY, *steps))}, "spec")


def test_a_crop_first_needs_images_or_regions_that_are_large_enough() -> None:
    assert spec(CROP, min_side_px=32).size_px == (32, 28)
    assert spec(CROP, region=RegionCrop(1.5, 16.0)).size_px == (32, 28)
    with pytest.raises(ValueError, match="found an image of 30x30 px"):
        spec(CROP, min_side_px=200, region=RegionCrop(1.5, 15.0))


@pytest.mark.parametrize("sides", [(0, 8), (8, 0), (4097, 8)])
def test_sides_that_cannot_be_are_refused(sides: tuple[int, int]) -> None:
    for kind in (Pad, CentreCrop):
        rest = (0.0,) if kind is Pad else ()
        with pytest.raises(ValueError, match=rf"{kind.KIND}: found {sides[0]}x{sides[1]} px, expected sides of 1"):
            kind(*sides, PIXELS, *rest)
    with pytest.raises(ValueError, match="resize_shorter: found 0x0 px"):
        ResizeShorter(0, Interpolation.NEAREST, PixelType.UINT8)


def test_after_a_float32_step_they_work_in_its_numbers() -> None:
    """A pad after normalising adds its value as it is; a crop keeps float32."""
    steps = (GREY, HALF, Scale(255.0, 0.0), CentreCrop(20, 12, PIXELS), Pad(24, 16, PIXELS, -0.5))
    image = DecodedImage("white", np.full((30, 30, 3), 255, np.uint8), ColourOrder.RGB)
    expected = np.full((16, 24, 1), -0.5, np.float32)
    expected[2:14, 2:22] = 1.0
    assert np.array_equal(preprocess(image, steps), expected)


@pytest.mark.parametrize(
    "steps",
    [
        (SHORTER, CROP),
        (CentreCrop(1, 1, RATIO), HALF),
        (CROP, HALF),
        (Letterbox(50, 60), CROP),
        (SHORTER, Pad(1, 1, RATIO, 0.0), CROP),
    ],
)
def test_a_heatmaps_box_is_what_the_tensor_shows(steps: tuple[Step, ...]) -> None:
    """A white square of the image lies in the tensor where the box says, to two pixels of the tensor."""
    for width, height in ((90, 61), (61, 90), (200, 150), (64, 64)):
        drawn = np.zeros((height, width), np.uint8)
        x, y, side = width // 2 - 9, height // 2 - 5, 14
        drawn[y : y + side, x : x + side] = 255
        tensor = preprocess(DecodedImage("square", drawn, ColourOrder.GREY), (GREY, *steps))[..., 0]
        left, top, right, bottom = covered(steps, width, height)
        across, down = tensor.shape[1] / (right - left), tensor.shape[0] / (bottom - top)
        rows, columns = (np.flatnonzero((tensor > 127).any(axis=axis)) for axis in (1, 0))
        expected = (x - left) * across, (y - top) * down, (x + side - left) * across, (y + side - top) * down
        found = columns[0], rows[0], columns[-1] + 1, rows[-1] + 1
        assert np.abs(np.array(found) - expected).max() <= 2, f"{width}x{height}: {found}, expected {expected}"


def test_a_centre_crops_box_lies_inside_the_image() -> None:
    assert covered((CentreCrop(1, 1, RATIO), HALF), 200, 100) == (50, 0, 150, 100)
    assert covered((Pad(1, 1, RATIO, 0.0), HALF), 200, 100) == (0, -50, 200, 150)
    shorter = ResizeShorter(256, Interpolation.LINEAR_EXACT, PixelType.UINT8)
    assert covered((shorter, CentreCrop(224, 224, PIXELS)), 512, 1024) == (32, 288, 480, 736)


def test_tiles_are_refused_by_name_where_a_step_hides_or_adds_pixels() -> None:
    slide = DecodedImage("slide", noise(200, 200), ColourOrder.RGB)
    for steps, named in (
        ((SHORTER, CentreCrop(32, 32, PIXELS)), "centre_crop, which show 26x26 px for a tile of 32x32 px"),
        ((HALF, Pad(1, 1, RATIO, 0.0)), "pad, which show 24x36 px for a tile of 24x24 px"),
        ((Letterbox(24, 16), HALF), None),
    ):
        made = spec(*steps)
        if named is None:
            assert grid_of(slide, made).tile_width_px == 24
            continue
        with pytest.raises(UsageError, match=f"made: found the steps {named}"):
            grid_of(slide, made)
    assert grid_of(slide, spec(SHORTER, CentreCrop(40, 40, PIXELS))).rows == 5


def test_a_filter_after_a_crop_sees_its_edge_as_the_images_edge() -> None:
    from edge_runtime.preprocessing.steps import LAPLACIAN_SHARPEN_3X3, Border, Sharpen

    pixels = noise(60, 50)
    sharpen = Sharpen(LAPLACIAN_SHARPEN_3X3, PixelType.UINT8, Border.ZERO)
    found = apply(sharpen, apply(CROP, pixels, ""), "")
    alone = np.ascontiguousarray(pixels[11:39, 14:46])
    expected = cv2.filter2D(alone, -1, np.array(LAPLACIAN_SHARPEN_3X3, np.float32), borderType=cv2.BORDER_CONSTANT)
    assert np.array_equal(found, expected)
