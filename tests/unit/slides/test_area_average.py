"""The area average in whole numbers, against the same average in fractions."""

from __future__ import annotations

from fractions import Fraction
from math import floor

import numpy as np
import pytest

from edge_runtime.slides.area_average import LARGEST_FACTOR, UNIT, averaged, covered, weights


def noise(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(5).integers(0, 256, (height, width, 3), dtype=np.uint8)


def by_fractions(source: np.ndarray, x: int, y: int, factor: int) -> list[int]:
    """One pixel of the result: every source pixel with the area that it shares with it, halves up."""
    side, total = Fraction(factor, UNIT), [Fraction(0)] * 3
    for row in range(source.shape[0]):
        down = min((y + 1) * side, Fraction(row + 1)) - max(y * side, Fraction(row))
        for column in range(source.shape[1]):
            across = min((x + 1) * side, Fraction(column + 1)) - max(x * side, Fraction(column))
            if down > 0 and across > 0:
                total = [t + down * across * int(v) for t, v in zip(total, source[row, column], strict=True)]
    return [floor(t / side**2 + Fraction(1, 2)) for t in total]


@pytest.mark.parametrize("factor", [256, 259, 300, 512, 768, 1014, 1777])
def test_it_is_the_average_in_fractions(factor: int) -> None:
    source = noise(23, 29)
    rows, columns = 23 * UNIT // factor, 29 * UNIT // factor
    found = averaged(lambda x, y, w, h: source[y : y + h, x : x + w], 0, 0, columns, rows, factor)
    assert found.dtype == np.uint8 and found.shape == (rows, columns, 3)
    for y in range(rows):
        for x in range(columns):
            assert found[y, x].tolist() == by_fractions(source, x, y, factor)


def test_a_factor_of_one_copies() -> None:
    source = noise(9, 9)
    assert np.array_equal(averaged(lambda x, y, w, h: source[y : y + h, x : x + w], 2, 3, 4, 5, UNIT), source[3:8, 2:6])


@pytest.mark.parametrize("factor", [300, 4096])
def test_a_rectangle_is_a_part_of_the_whole_and_bands_do_not_show(factor: int, monkeypatch: pytest.MonkeyPatch) -> None:
    source = noise(400, 500)
    rows, columns = 400 * UNIT // factor, 500 * UNIT // factor

    def read(x: int, y: int, w: int, h: int) -> np.ndarray:
        assert 0 <= x < x + w <= 500 and 0 <= y < y + h <= 400
        return source[y : y + h, x : x + w]

    whole = averaged(read, 0, 0, columns, rows, factor)
    monkeypatch.setattr("edge_runtime.slides.area_average.BAND_PIXELS", 4000)
    assert np.array_equal(averaged(read, 0, 0, columns, rows, factor), whole)
    assert np.array_equal(averaged(read, 7, 5, 11, 9, factor), whole[5:14, 7:18])


def test_halves_are_rounded_up() -> None:
    source = np.array([[[0, 1, 254]] * 2, [[1, 2, 255]] * 2], np.uint8)
    assert averaged(lambda x, y, w, h: source[y : y + h, x : x + w], 0, 0, 1, 1, 512).tolist() == [[[1, 2, 255]]]


def test_the_largest_sum_is_exact_in_float64() -> None:
    assert 255 * LARGEST_FACTOR**2 < 2**53 <= 255 * (LARGEST_FACTOR + UNIT) ** 2
    assert covered(3, 5, 300) == (3, 6)
    assert weights(0, 40, 777).sum(axis=1).tolist() == [777.0] * 40
