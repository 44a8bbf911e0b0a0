"""Bicubic and antialiased resizes against Pillow, and against the textbook's sum in float64."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
from PIL import Image

from edge_runtime.preprocessing.preprocessor import apply
from edge_runtime.preprocessing.steps import Interpolation, PixelType, Resize
from tests.unit.preprocessing.differences import worst

RNG = np.random.default_rng(56)
PILLOW = {
    Interpolation.LINEAR_ANTIALIAS: Image.Resampling.BILINEAR,
    Interpolation.BICUBIC_ANTIALIAS: Image.Resampling.BICUBIC,
}


def drawn(count: int) -> list[np.ndarray]:
    """Noise, and black and white that overshoots, of odd sizes, grey and colour."""
    found = []
    for number in range(count):
        height, width = (int(side) for side in RNG.integers(1, 120, 2))
        pixels = RNG.integers(0, 256, (height, width, 3)[: 2 + number % 2], dtype=np.uint8)
        found.append(np.where(pixels > 127, 255, 0).astype(np.uint8) if number % 3 == 0 else pixels)
    return found


@pytest.mark.parametrize("method", PILLOW)
def test_antialiased_resizes_are_pillows_bit_for_bit(method: Interpolation) -> None:
    """Across, then down: Pillow 13 may go down first, so it is called once for each."""
    for pixels in [*drawn(150), RNG.integers(0, 256, (700, 900, 3), dtype=np.uint8)]:
        width, height = (int(side) for side in RNG.integers(1, 150, 2))
        once = Image.fromarray(pixels).resize((width, pixels.shape[0]), PILLOW[method])
        expected = np.asarray(once.resize((width, height), PILLOW[method]))
        found = apply(Resize(width, height, method, PixelType.UINT8), pixels, "noise")
        assert found.dtype == np.uint8
        assert np.array_equal(found, expected), f"{pixels.shape} to {expected.shape}: {worst(found, expected)}"


def keys(size: int, result: int) -> np.ndarray:
    """Return the weights of a cubic convolution with a = -0.5 (Keys 1981), float64 result×size, each row's sum 1."""
    places = (np.arange(result) + 0.5) * size / result - 0.5
    x = np.abs(places[:, np.newaxis] - np.arange(size))
    near, far = 1.5 * x**3 - 2.5 * x**2 + 1, -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2
    weights = np.where(x < 1, near, np.where(x < 2, far, 0))
    return np.asarray(weights / weights.sum(axis=1, keepdims=True))


def test_bicubic_is_the_cubic_convolution_within_its_table_of_weights() -> None:
    """The weights are tabulated at 1/1024 of a pixel, so the result may differ by up to 0.5 of 255."""
    far = 0.0
    for pixels in drawn(100):
        width, height = (int(side) for side in RNG.integers(1, 150, 2))
        found = apply(Resize(width, height, Interpolation.BICUBIC, PixelType.FLOAT32), pixels, "noise")
        rows, columns = keys(pixels.shape[0], height), keys(pixels.shape[1], width)
        expected = np.einsum("ih,hw...,jw->ij...", rows, pixels.astype(np.float64), columns)
        assert found.dtype == np.float32
        far = max(far, float(np.abs(found - expected).max()))
    assert far <= 0.5, f"worst {far}"


def test_bicubic_with_uint8_is_rounded_and_saturated() -> None:
    for pixels in drawn(30):
        found = apply(Resize(40, 33, Interpolation.BICUBIC, PixelType.UINT8), pixels, "noise")
        exact = apply(Resize(40, 33, Interpolation.BICUBIC, PixelType.FLOAT32), pixels, "noise")
        assert found.dtype == np.uint8
        assert np.array_equal(found, np.clip(np.rint(exact), 0, 255)), worst(found, exact)


PINNED = {
    "bicubic": "121f396bb2c373532328272552b1e1aad2a5bc0940d35d5f58e50a4504ec8a7b",
    "linear_antialias": "17d954a34b0ebdacb1a5217949bb000160ddf66c3a0c39d1acd8480579c015eb",
    "bicubic_antialias": "e2756efcc6662eda0688306d12ff6c645d9e5f883d751cb649e5b1fc5eae13b6",
}
"""SHA-256 of a resized image made from arithmetic alone. Another value means other bits on this processor."""


@pytest.mark.parametrize("method", PINNED)
def test_the_bits_are_pinned(method: str) -> None:
    values = (np.arange(37 * 61 * 3, dtype=np.int64) ** 2 % 251).astype(np.uint8).reshape(37, 61, 3)
    result = PixelType.FLOAT32 if method == "bicubic" else PixelType.UINT8
    found = [apply(Resize(*size, Interpolation(method), result), values, "") for size in ((23, 30), (90, 40))]
    assert hashlib.sha256(b"".join(each.tobytes() for each in found)).hexdigest() == PINNED[method]


@pytest.mark.parametrize("method", PILLOW)
def test_antialiasing_gives_whole_levels_alone(method: Interpolation) -> None:
    with pytest.raises(ValueError, match=rf"resize: {method.value} requires uint8. Use (linear|bicubic) for a float32"):
        Resize(8, 8, method, PixelType.FLOAT32)
