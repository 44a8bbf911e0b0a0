"""Resizing against tf.image, the stack that networks are usually trained behind."""

from __future__ import annotations

import numpy as np
import pytest

from edge_runtime.images.colour import ColourOrder
from edge_runtime.images.reader import DecodedImage
from edge_runtime.preprocessing.preprocessor import preprocess
from edge_runtime.preprocessing.steps import Colour, Interpolation, PixelType, Resize

tensorflow = pytest.importorskip("tensorflow")

FLOAT32_STEP = 2.0**-23
"""Both stacks round a pixel's place in the source to float32: the farther out, the coarser its weights."""

SIZES = ((1, 1), (1, 37), (41, 1), (2, 3), (49, 50), (50, 51), (7, 93), (99, 101), (224, 223), (333, 77))
TARGETS = ((50, 50), (128, 128), (3, 5), (224, 160))


def _ours(pixels: np.ndarray, target: tuple[int, int], interpolation: Interpolation) -> np.ndarray:
    steps = (Colour(ColourOrder.RGB), Resize(*target, interpolation, PixelType.FLOAT32))
    return preprocess(DecodedImage("p", pixels, ColourOrder.RGB), steps)


def _theirs(pixels: np.ndarray, target: tuple[int, int], method: str) -> np.ndarray:
    return np.asarray(tensorflow.image.resize(pixels.astype(np.float32), target[::-1], method, antialias=False))


def _tolerance(size: tuple[int, int]) -> float:
    """One float32 step of the place along each axis, times the largest contrast; .003 of 255 at 50×50."""
    return 255 * FLOAT32_STEP * (sum(size) + 4)


def _between_pixels(size: int, result: int) -> np.ndarray:
    """Tell of each new pixel whether its centre lies on no boundary of the source's, where float32 decides."""
    place = (np.arange(result) + 0.5) * size / result
    return np.abs(place - np.rint(place)) > 1e-4


@pytest.mark.parametrize("target", TARGETS)
def test_float_linear_is_tensorflows_bilinear(target: tuple[int, int]) -> None:
    rng = np.random.default_rng(51)
    found = {}
    for size in SIZES:
        pixels = rng.integers(0, 256, (*size, 3), dtype=np.uint8)
        difference = _ours(pixels, target, Interpolation.LINEAR) - _theirs(pixels, target, "bilinear")
        found[size] = float(np.abs(difference).max()) / _tolerance(size)
    size, far = max(found.items(), key=lambda item: item[1])
    assert far <= 1, f"{size} to {target}: {far:.2f} times the tolerance of {_tolerance(size)} of 255"


@pytest.mark.parametrize("target", TARGETS)
def test_float_bicubic_is_tensorflows_bit_for_bit(target: tuple[int, int]) -> None:
    """Black and white overshoot most; each array also has both parities of the number of columns."""
    rng = np.random.default_rng(53)
    for size in SIZES:
        noise = rng.integers(0, 256, (*size, 3), dtype=np.uint8)
        for pixels in (noise, np.where(noise > 127, 255, 0).astype(np.uint8)):
            ours, theirs = _ours(pixels, target, Interpolation.BICUBIC), _theirs(pixels, target, "bicubic")
            differing = int((ours != theirs).sum())
            assert differing == 0, f"{size} to {target}: {differing} differ, by up to {np.abs(ours - theirs).max()}"


@pytest.mark.parametrize("target", TARGETS)
def test_nearest_is_tensorflows_nearest(target: tuple[int, int]) -> None:
    rng = np.random.default_rng(52)
    for size in SIZES:
        pixels = rng.integers(0, 256, (*size, 3), dtype=np.uint8)
        ours, theirs = _ours(pixels, target, Interpolation.NEAREST), _theirs(pixels, target, "nearest")
        clear = np.outer(_between_pixels(size[0], target[1]), _between_pixels(size[1], target[0]))
        differing = int(((ours != theirs).any(axis=2) & clear).sum())
        assert differing == 0, f"{size} to {target}: {differing} pixels differ"
