"""Tiles of empty glass, against a look at every pixel."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from edge_runtime.slides import glass
from edge_runtime.slides.glass import is_white, white_tiles
from edge_runtime.tiling.slide import Grid, SlideReading
from tests.unit.slides.drawn import Drawn, white


def test_white_is_bright_and_nearly_grey() -> None:
    row = np.array([[[210, 240, 230], [209, 255, 255], [255, 255, 255], [210, 241, 220], [250, 200, 240]]], np.uint8)
    assert is_white(row).tolist() == [[True, False, True, False, False]]


@pytest.mark.parametrize("factor", [256, 300])
@pytest.mark.parametrize("block", [32, 1024])
def test_a_tile_is_white_if_all_its_pixels_are(factor: int, block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(glass, "BLOCK_PX", block)
    pixels = white(190, 230)
    for x, y in ((0, 0), (49, 51), (50, 50), (100, 149), (229, 189), (151, 20), (58, 120)):
        pixels[y, x] = 100
    count = 190 * 256 // factor // 50, 230 * 256 // factor // 50
    grid = Grid(50, 50, None, *count, 0)
    found = white_tiles(Drawn(pixels), SlideReading(0, Fraction(1), factor, 1.0, False, True), grid)
    step = factor / 256
    for row in range(grid.rows):
        for column in range(grid.columns):
            top, left = int(row * 50 * step), int(column * 50 * step)
            below, right = int(np.ceil((row + 1) * 50 * step)), int(np.ceil((column + 1) * 50 * step))
            assert found[row, column] == bool((pixels[top:below, left:right] == 240).all()), (row, column)
    assert found.any() and not found.all()


def test_the_coarsest_level_that_shows_a_tile_in_eight_pixels_is_searched() -> None:
    fine, middle, coarse = white(800, 800), white(200, 200), white(50, 50)
    middle[60:64, 130:134] = 90  # in level 1, tiles of 50 px have 12.5 px; in level 2 about 3
    grid = Grid(50, 50, None, 16, 16, 0)
    found = white_tiles(Drawn(fine, middle, coarse), SlideReading(0, Fraction(1), 256, 1.0, False, True), grid)
    assert np.argwhere(~found).tolist() == [[row, column] for row in (4, 5) for column in (10,)]


def test_where_the_searched_level_is_damaged_no_tile_is_left_out() -> None:
    pyramid = Drawn(white(2000, 2000))
    pyramid.broken = {(0, 1100, 30)}
    grid = Grid(50, 50, None, 40, 40, 0)
    found = white_tiles(pyramid, SlideReading(0, Fraction(1), 256, 1.0, False, True), grid)
    assert found[:, :20].all() and found[21:].all() and not found[:20, 21:].any()
