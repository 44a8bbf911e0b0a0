"""Statistics of the network's input: against plain NumPy, and from tensors as from the levels that gave them."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from edge_runtime.images.colour import ColourOrder
from edge_runtime.images.reader import DecodedImage
from edge_runtime.ood.input_statistics import InputStatistics, levels_of, of_tensors
from edge_runtime.ood.network_features import InputStatistic
from edge_runtime.preprocessing.preprocessor import Preprocessor
from edge_runtime.preprocessing.steps import (
    Colour,
    Interpolation,
    MinMax,
    Normalize,
    PixelType,
    Resize,
    Scale,
    Step,
)

ALL = tuple(InputStatistic)
RNG = np.random.default_rng(20)
RGB = Colour(ColourOrder.RGB)
SMALL = Resize(11, 7, Interpolation.LINEAR_EXACT, PixelType.UINT8)


def image(height: int, width: int, channels: int = 3, levels: int = 256) -> npt.NDArray[np.uint8]:
    return RNG.integers(0, levels, (height, width, channels)).astype(np.uint8)


def expected(levels: npt.NDArray[np.uint8]) -> dict[InputStatistic, float]:
    """The statistics as the reference page defines them, in float64 over all pixels."""
    pixels = levels.astype(np.float64)
    first, last = pixels[..., 0] - pixels[..., 1], pixels[..., 2] - pixels[..., 1]
    energy = (first**2).mean() + (last**2).mean()
    values = [tuple(pixel) for row in levels.tolist() for pixel in row]
    width, shares = levels.shape[1], []
    for lag in (1, width):
        pairs = list(zip(values[lag:], values, strict=False))
        equal = [a == b for before, after in pairs for a, b in zip(before, after, strict=True)]
        shares.append(sum(equal) / len(equal) if equal else 0.0)
    return {
        InputStatistic.CHROMA: energy / (energy + 16),
        InputStatistic.TINT: first.mean() / (271 - pixels.mean()),
        InputStatistic.SPREAD: last.std() / 255,
        InputStatistic.EQUAL: np.sqrt(np.mean(shares)),
    }


@pytest.mark.parametrize("size", [(50, 50), (7, 11), (1, 5), (5, 1), (1, 1), (128, 64)], ids=str)
@pytest.mark.parametrize("levels", [256, 3])
def test_they_are_those_of_plain_numpy(size: tuple[int, int], levels: int) -> None:
    drawn = image(*size, levels=levels)
    for name, value in zip(ALL, InputStatistics(ALL).of(drawn), strict=True):
        assert value == pytest.approx(expected(drawn)[name], abs=1e-12), name


def test_they_come_in_the_order_that_is_wanted() -> None:
    drawn = image(9, 9)
    for names in (ALL[::-1], ALL[:1], ALL[3:]):
        assert InputStatistics(names).of(drawn) == [InputStatistics(ALL).of(drawn)[ALL.index(name)] for name in names]


def test_an_image_without_colour_has_no_chroma_and_a_plain_one_is_equal_everywhere() -> None:
    grey = np.repeat(image(20, 20, 1), 3, axis=2)
    assert InputStatistics(ALL).of(grey)[:3] == [0.0, 0.0, 0.0]
    assert InputStatistics(ALL).of(np.full((20, 20, 3), 255, np.uint8)) == [0.0, 0.0, 0.0, 1.0]
    assert InputStatistics((InputStatistic.EQUAL,)).of(image(20, 20, 1, levels=1)) == [1.0]


@pytest.mark.parametrize(
    "last",
    [
        (Scale(127.5, -1.0),),
        (Scale(-255.0, 0.5),),
        (Normalize((0.5, 120.0, 30.0), (0.25, 50.0, 70.0)),),
        (Scale(255.0, 0.0), Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))),
        (),
    ],
    ids=str,
)
def test_tensors_give_the_statistics_of_their_levels(last: tuple[Step, ...]) -> None:
    steps: tuple[Any, ...] = (RGB, SMALL, *last)
    prepared = Preprocessor(steps)
    images = [DecodedImage("p", image(30, 20), ColourOrder.BGR) for _ in range(3)]
    levels, tensors = [prepared.levels(one) for one in images], [prepared.tensor(one) for one in images]
    assert prepared.values is not None
    np.testing.assert_array_equal(levels_of(tensors[0], prepared.values), levels[0])
    assert of_tensors(np.stack(tensors), ALL, steps) == [InputStatistics(ALL).of(one) for one in levels]


def test_without_statistics_there_is_an_empty_row_for_each_tensor() -> None:
    assert [tuple(row) for row in of_tensors(np.zeros((2, 7, 11, 3), np.float32), None, (RGB, SMALL))] == [(), ()]


def test_a_tensor_that_no_levels_give_is_refused() -> None:
    steps = (RGB, SMALL, Scale(127.5, -1.0))
    with pytest.raises(ValueError, match="no uint8 levels give"):
        of_tensors(np.full((1, 7, 11, 3), 0.1234, np.float32), ALL, steps)
    with pytest.raises(ValueError, match="end in no uint8 levels"):
        of_tensors(np.zeros((1, 7, 11, 3), np.float32), ALL, (RGB, SMALL, MinMax(0.0, 1.0)))
