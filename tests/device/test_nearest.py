"""``resize`` ``nearest`` takes the same pixels whatever release of OpenCV lies here: OpenCV 4 and 5 choose others.

The expected indices are written out in Python's own floats, without NumPy or OpenCV.
"""

from __future__ import annotations

from itertools import accumulate, chain, repeat

import numpy as np
import pytest

from edge_runtime.preprocessing.kernels import apply
from edge_runtime.preprocessing.steps import Interpolation, PixelType, Resize

SIDES = [(2, 5), (2, 7), (3, 2), (7, 7), (13, 29), (41, 96), (96, 41), (233, 96), (301, 128), (1024, 224), (50, 299)]
"""With 2 → 5 pixels OpenCV 4.14 takes another one than OpenCV 5; with 2 → 7 a centre lies on an edge."""


def under_centres(before: int, after: int) -> list[int]:
    step = before / after
    return [int(centre) for centre in accumulate(chain([step / 2], repeat(step, after - 1)))]


def test_the_two_shortest_are_these() -> None:
    assert under_centres(2, 5) == [0, 0, 1, 1, 1]
    assert under_centres(2, 7) == [0, 0, 0, 0, 1, 1, 1]


@pytest.mark.parametrize("result", PixelType)
@pytest.mark.parametrize("width, height", list(zip(SIDES, reversed(SIDES), strict=True)))
def test_each_pixel_is_the_one_under_its_centre(
    width: tuple[int, int], height: tuple[int, int], result: PixelType
) -> None:
    pixels = np.random.default_rng(7).integers(0, 256, (height[0], width[0], 3), dtype=np.uint8)
    found = apply(Resize(width[1], height[1], Interpolation.NEAREST, result), pixels, "noise")
    rows, columns = under_centres(*height), under_centres(*width)
    expected = np.array([[pixels[row, column] for column in columns] for row in rows])
    np.testing.assert_array_equal(found, expected)
    assert found.dtype == (np.uint8 if result is PixelType.UINT8 else np.float32)
