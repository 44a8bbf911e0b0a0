"""The step letterbox against exact fractions and OpenCV's own resize, placed by hand."""

from __future__ import annotations

import math
from collections.abc import Iterator
from fractions import Fraction

import cv2
import numpy as np
import pytest

from edge_runtime.bundle.policy import DecisionPolicy, Head
from edge_runtime.bundle.spec import ModelSpec
from edge_runtime.errors import ManifestError
from edge_runtime.images.colour import ColourOrder
from edge_runtime.images.reader import DecodedImage
from edge_runtime.preprocessing.preprocessor import apply, preprocess
from edge_runtime.preprocessing.steps import (
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
    check_order,
    covered,
)
from edge_runtime.serialisation.records import from_dict, to_dict
from tests.unit.preprocessing.differences import worst

FRAMES = ((64, 64), (96, 40), (40, 97), (1, 1), (7, 300), (300, 7))
SIZES = ((64, 64), (50, 200), (200, 50), (1, 90), (90, 1), (1, 1), (63, 64), (3, 1000), (33, 47), (4096, 3))
"""Width and height of frames, and of images: square, tall, wide, one pixel wide and one pixel high."""


def cases() -> Iterator[tuple[Letterbox, int, int]]:
    """Every frame with every size, then random ones."""
    yield from ((Letterbox(*frame), *size) for frame in FRAMES for size in SIZES)
    for across, down, width, height in np.random.default_rng(41).integers(1, 400, (2000, 4)):
        yield Letterbox(int(across), int(down)), int(width), int(height)


def exact_size(step: Letterbox, width: int, height: int) -> tuple[int, int]:
    """Return the fitted size in exact fractions: the largest scale at which both sides fit, rounded half up."""
    scale = min(Fraction(step.width_px, width), Fraction(step.height_px, height))
    across, down = (max(1, math.floor(side * scale + Fraction(1, 2))) for side in (width, height))
    return across, down


def test_the_fitted_size_is_that_of_exact_fractions() -> None:
    for step, width, height in cases():
        found = step.fitted(width, height)
        assert found == exact_size(step, width, height), f"{step}, {width}x{height}"
        assert step.width_px in found or step.height_px in found
        assert found[0] <= step.width_px
        assert found[1] <= step.height_px


def test_the_image_is_centred_and_a_spare_pixel_lies_to_the_right_or_below() -> None:
    for step, width, height in cases():
        (across, down), (left, top) = step.fitted(width, height), step.corner(width, height)
        right, below = step.width_px - left - across, step.height_px - top - down
        assert right - left in (0, 1), f"{step}, {width}x{height}: {left} and {right}"
        assert below - top in (0, 1), f"{step}, {width}x{height}: {top} and {below}"


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("frame", FRAMES)
def test_pixels_are_those_of_linear_exact_and_the_rest_is_black(frame: tuple[int, int], channels: int) -> None:
    rng, step = np.random.default_rng(42), Letterbox(*frame)
    for width, height in SIZES:
        pixels = rng.integers(1, 256, (height, width, channels)[: 2 if channels == 1 else 3], dtype=np.uint8)
        across, down = exact_size(step, width, height)
        left, top = math.floor(Fraction(frame[0] - across, 2)), math.floor(Fraction(frame[1] - down, 2))
        expected = np.zeros((frame[1], frame[0], *pixels.shape[2:]), np.uint8)
        inside = expected[top : top + down, left : left + across]
        inside[...] = cv2.resize(pixels, (across, down), interpolation=cv2.INTER_LINEAR_EXACT)
        found = np.asarray(apply(step, pixels, "noise"))
        assert (found.dtype, found.shape) == (np.uint8, expected.shape)
        assert np.array_equal(found, expected), f"{width}x{height} in {frame}: {worst(found, expected)}"
        assert np.count_nonzero(found) == inside.size  # no level of the noise is 0


def test_an_image_of_the_frames_size_is_left_as_it_is() -> None:
    pixels = np.random.default_rng(43).integers(0, 256, (40, 96, 3), dtype=np.uint8)
    assert np.array_equal(apply(Letterbox(96, 40), pixels, "noise"), pixels)


def test_a_letterbox_works_before_a_look_up_table() -> None:
    """Black borders are levels like others: 0 becomes -1 here."""
    steps = (Colour(ColourOrder.GREY), Letterbox(8, 8), Scale(127.5, -1.0))
    found = preprocess(DecodedImage("white", np.full((4, 8, 3), 255, np.uint8), ColourOrder.RGB), steps)
    expected = np.full((8, 8, 1), -1.0, np.float32)
    expected[2:6] = 1.0
    assert np.array_equal(found, expected)


def spec(*steps: Step) -> ModelSpec:
    policy = DecisionPolicy(0.5, 0.0)
    return ModelSpec("boxed", "1.0.0", "", (Colour(ColourOrder.GREY), *steps), ("a", "b"), ("b",), Head.SOFTMAX, policy)


HALF = Resize(24, 16, Interpolation.LINEAR_EXACT, PixelType.UINT8)


def test_a_spec_with_a_letterbox_survives_json() -> None:
    boxed = spec(Letterbox(48, 32), HALF)
    stored = to_dict(boxed)
    assert stored["steps"][1] == {"kind": "letterbox", "width_px": 48, "height_px": 32}
    assert from_dict(ModelSpec, stored, "spec") == boxed
    assert boxed.contract != spec(HALF).contract


def test_the_last_letterbox_or_resize_gives_the_tensors_size() -> None:
    assert spec(Letterbox(48, 32), HALF).size_px == (24, 16)
    assert spec(HALF, Letterbox(48, 32)).size_px == (48, 32)
    assert spec(Letterbox(48, 32)).size_px == (48, 32)
    tensor = preprocess(DecodedImage("p", np.ones((9, 7), np.uint8), ColourOrder.GREY), spec(Letterbox(48, 32)).steps)
    assert tensor.shape == (32, 48, 1)


@pytest.mark.parametrize("sides", [(0, 8), (8, 0), (-1, 8), (4097, 8), (8, 4097)])
def test_a_frame_that_cannot_be_is_refused(sides: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match=rf"letterbox: found {sides[0]}x{sides[1]} px, expected sides of 1\.\.4096"):
        Letterbox(*sides)
    stored = to_dict(spec(Letterbox(8, 8)))
    stored["steps"][1] |= {"width_px": sides[0], "height_px": sides[1]}
    with pytest.raises(ManifestError, match="letterbox"):
        from_dict(ModelSpec, stored, "spec")


def test_a_letterbox_takes_no_float32() -> None:
    with pytest.raises(ValueError, match="letterbox on uint8 comes after a float32 step"):
        check_order((Colour(ColourOrder.GREY), Scale(255.0, 0.0), Letterbox(8, 8)))


LINEAR = Resize(31, 17, Interpolation.LINEAR_EXACT, PixelType.UINT8)


SHORTER = ResizeShorter(50, Interpolation.LINEAR_EXACT, PixelType.UINT8)
SQUARE = Pad(1, 1, Target.ASPECT_RATIO, 0.0)


@pytest.mark.parametrize(
    "steps",
    [
        *((HALF,), (Letterbox(60, 40),), (Letterbox(60, 40), HALF), (HALF, Letterbox(50, 60))),
        *((SQUARE, HALF), (Pad(210, 230, Target.PIXELS, 0.0), HALF), (SHORTER, SQUARE, LINEAR), (HALF, SQUARE)),
    ],
)
def test_the_area_covered_is_found_by_its_corners(steps: tuple[Step, ...]) -> None:
    """Of a white image, the white part of the tensor has the same place in the tensor as the image in the area."""
    for width, height in ((90, 60), (200, 60), (60, 200), (61, 43)):
        white = np.asarray(np.full((height, width), 255, np.uint8))
        for step in steps:
            white = np.asarray(apply(step, white, "white"))
        rows, columns = (np.flatnonzero((white > 127).any(axis=axis)) for axis in (1, 0))
        left, top, right, bottom = covered(steps, width, height)
        across, down = white.shape[1] / (right - left), white.shape[0] / (bottom - top)
        expected = -left * across, -top * down, (width - left) * across - 1, (height - top) * down - 1
        found = columns[0], rows[0], columns[-1], rows[-1]
        assert np.abs(np.array(found) - expected).max() <= 1, f"{width}x{height}: {found}, expected {expected}"


def test_a_letterbox_covers_more_than_the_image_on_two_sides_alone() -> None:
    assert covered((Letterbox(64, 64), LINEAR), 200, 100) == (0, -50, 200, 150)
    assert covered((Letterbox(64, 64), LINEAR), 100, 200) == (-50, 0, 150, 200)
    assert covered((Colour(ColourOrder.GREY), LINEAR), 100, 200) == (0, 0, 100, 200)
