"""Statistics of many images at once have the bits of those of each image alone."""

from __future__ import annotations

import numpy as np
import pytest

from edge_runtime.images.colour import ColourOrder
from edge_runtime.images.reader import DecodedImage
from edge_runtime.ood import stacked_statistics
from edge_runtime.ood.detector import NAMES, STATISTICS, Familiarity
from edge_runtime.ood.stacked_statistics import statistics_of_all
from edge_runtime.ood.statistics import statistics

SHAPES = [(1, 1), (1, 9), (9, 1), (2, 2), (3, 40), (8, 9), (32, 33), (33, 32), (50, 50), (64, 64), (65, 64), (130, 70)]


def images(shape: tuple[int, int], order: ColourOrder, dtype: type) -> list[DecodedImage]:
    """Noise, a single level, a ramp with noise, and both ends of the range side by side."""
    rng = np.random.default_rng(sum(shape))
    size = shape if order is ColourOrder.GREY else (*shape, 3)
    most = np.iinfo(dtype).max
    ramp = np.linspace(0, most, shape[1]).reshape(1, -1, *(1,) * (len(size) - 2))
    drawn = [rng.integers(0, most, size), np.full(size, 140), ramp * rng.uniform(0.8, 1.0, size), np.zeros(size)]
    drawn[3][::2] = most
    return [DecodedImage("p", np.ascontiguousarray(each, dtype=dtype), order) for each in drawn]


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("order", ColourOrder)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_many_images_have_the_bits_of_each(shape: tuple[int, int], order: ColourOrder, dtype: type) -> None:
    given = images(shape, order, dtype)
    alone = [statistics(each).tobytes() for each in given]
    assert [row.tobytes() for row in statistics_of_all(given)] == alone
    assert [row.tobytes() for row in statistics_of_all(given[::-1])] == alone[::-1]


def test_images_that_are_not_alike_are_computed_one_by_one() -> None:
    given = [
        *images((50, 50), ColourOrder.RGB, np.uint8),
        *images((50, 50), ColourOrder.BGR, np.uint8),
        *images((50, 49), ColourOrder.GREY, np.uint8),
    ]
    assert statistics_of_all(given).tobytes() == np.array([statistics(each) for each in given]).tobytes()


def test_more_images_than_one_stack_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stacked_statistics, "MOST_PIXELS", 3 * 20 * 20 - 1)
    given = images((20, 20), ColourOrder.RGB, np.uint8) * 2
    assert statistics_of_all(given).tobytes() == np.array([statistics(each) for each in given]).tobytes()


def test_the_shares_of_many_are_those_of_each() -> None:
    rng, count = np.random.default_rng(12), len(NAMES)
    whitening = tuple(rng.normal(size=count * (count + 1) // 2).tolist())
    check = Familiarity(STATISTICS, tuple(rng.random(count).tolist()), whitening, 3.0)
    given = images((50, 50), ColourOrder.RGB, np.uint8)
    assert check.image_shares(given) == [check.share(each) for each in given]
