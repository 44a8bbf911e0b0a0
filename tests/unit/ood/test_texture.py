"""Differences and Laplacians taken along one line of levels, against loops over pixels."""

from __future__ import annotations

import numpy as np
import pytest

from edge_runtime.ood.statistics import LAGS, Texture

SHAPES = [(1, 1), (1, 7), (7, 1), (2, 40), (33, 17), (50, 50), (64, 33)]


def levels(shape: tuple[int, int]) -> np.ndarray:
    """Noise with both ends of the range side by side, where a narrow integer would overflow."""
    found = np.random.default_rng(sum(shape)).integers(0, 256, shape, dtype=np.uint8)
    found[::3, ::2], found[1::3, ::2] = 0, 255
    return found


@pytest.mark.parametrize("lag", LAGS)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_a_difference_is_of_two_pixels_of_one_row_or_column(shape: tuple[int, int], lag: int) -> None:
    grey, (height, width) = levels(shape), shape
    found = Texture(grey).differences(lag)
    across = [[int(grey[y, x]) - int(grey[y, x - lag]) for x in range(lag, width)] for y in range(height)]
    down = [int(grey[y, x]) - int(grey[y - lag, x]) for y in range(lag, height) for x in range(width)]
    assert found.across.tolist() == across
    assert found.down.tolist() == down
    mean_squares = [float(np.mean(np.square(d, dtype=float))) if np.size(d) else 0.0 for d in (across, down)]
    assert found.energies() == pytest.approx(mean_squares, abs=1e-9)


@pytest.mark.parametrize("lag", LAGS)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_a_laplacian_is_four_times_a_pixel_less_its_neighbours(shape: tuple[int, int], lag: int) -> None:
    grey, (height, width) = levels(shape).astype(int), shape
    expected = [
        [
            4 * grey[y, x] - grey[y - lag, x] - grey[y + lag, x] - grey[y, x - lag] - grey[y, x + lag]
            for x in range(lag, width - lag)
        ]
        for y in range(lag, height - lag)
    ]
    found = Texture(levels(shape)).differences(lag).laplacian
    assert found.tolist() == (expected if width > 2 * lag else [])


def test_levels_that_do_not_lie_in_one_piece_are_the_same_levels() -> None:
    grey = levels((20, 30))
    cut = grey[3:15, 5:21]
    found, expected = Texture(cut).differences(2), Texture(cut.copy()).differences(2)
    assert found.laplacian.tolist() == expected.laplacian.tolist() != []
