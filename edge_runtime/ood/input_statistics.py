"""Few, cheap statistics of the network's input levels, for images that features of the network do not separate.

Features hardly notice an image without colour, or one with large areas of equal values, such as a screenshot. These
statistics do. They need only sums of whole numbers below 2^53, so the float64 results are equal on all processors.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import sqrt
from typing import Any, Protocol

import cv2
import numpy as np
import numpy.typing as npt

from edge_runtime.ood.network_features import InputStatistic
from edge_runtime.preprocessing.preprocessor import Preprocessor
from edge_runtime.preprocessing.steps import Step


class Tensors(Protocol):
    """N preprocessed images, in memory or on disk, float32 H×W×C each."""

    def __len__(self) -> int:
        """Return N."""

    def __iter__(self) -> Iterator[npt.NDArray[np.float32]]:
        """Iterate over the images."""


class InputStatistics:
    """The statistics of a spec, prepared once for many images. Thread-safe."""

    def __init__(self, names: Sequence[InputStatistic]) -> None:
        """Prepare the statistics ``names``; all but ``EQUAL`` need three channels."""
        self._of_colours = any(name.needs_colour for name in names)
        self._of_equal = InputStatistic.EQUAL in names
        found = (*(_COLOURS if self._of_colours else ()), *((InputStatistic.EQUAL,) if self._of_equal else ()))
        self._places = [found.index(name) for name in names]

    def of(self, levels: npt.NDArray[Any]) -> list[float]:
        """Return the statistics of one image, in the order of the names.

        Args:
            levels: uint8 H×W×C, C-contiguous, before the scale and normalize steps at the end of a spec.
        """
        found = _colours(levels) if self._of_colours else ()
        if self._of_equal:
            found = (*found, _equal(levels))
        return [found[place] for place in self._places]


_COLOURS = (InputStatistic.CHROMA, InputStatistic.TINT, InputStatistic.SPREAD)


def _colours(levels: npt.NDArray[Any]) -> tuple[float, ...]:
    """Return the statistics :data:`_COLOURS`."""
    count = levels.shape[0] * levels.shape[1]
    first, middle, last = cv2.split(levels)
    first_sum, middle_sum, last_sum, _ = cv2.sumElems(levels)
    # some builds of OpenCV square a root; rounding restores the whole number
    first_square = round(cv2.norm(first, middle, cv2.NORM_L2SQR))
    last_square = round(cv2.norm(last, middle, cv2.NORM_L2SQR))
    energy, last_mean = (first_square + last_square) / count, (last_sum - middle_sum) / count
    return (
        energy / (energy + 16.0),
        (first_sum - middle_sum) / count / (271.0 - (first_sum + middle_sum + last_sum) / (3 * count)),
        sqrt(max(last_square / count - last_mean * last_mean, 0.0)) / 255.0,
    )


def _equal(levels: npt.NDArray[Any]) -> float:
    """Return the statistic ``EQUAL``."""
    row, total = levels.ravel(), 0.0
    for lag in (levels.shape[2], levels.shape[1] * levels.shape[2]):
        if pairs := row.size - lag:
            total += int(np.count_nonzero(row[lag:] == row[:-lag])) / pairs
    return sqrt(total / 2)


def levels_of(tensor: npt.NDArray[np.float32], values: npt.NDArray[np.float32]) -> npt.NDArray[np.uint8]:
    """Return the levels whose values are ``tensor``: the inverse of a look-up.

    Args:
        tensor: float32 H×W×C.
        values: the look-up table of a preprocessor, float32 (256,) or (256, C), all values of a channel different.

    Raises:
        ValueError: a number of ``tensor`` is not in the table.
    """
    columns = values.reshape(256, -1)
    levels = np.empty(tensor.shape, np.uint8)
    for channel in range(tensor.shape[2]):
        column = columns[:, channel % columns.shape[1]]
        order = np.argsort(column)
        places = np.searchsorted(column[order], tensor[..., channel]).clip(0, 255)
        levels[..., channel] = order[places]
        if not np.array_equal(column[levels[..., channel]], tensor[..., channel]):
            raise ValueError("found a tensor that no uint8 levels give, expected one of the preprocessor.")
    return levels


def of_tensors(
    tensors: Tensors, names: Sequence[InputStatistic] | None, steps: tuple[Step, ...]
) -> Sequence[Sequence[float]]:
    """Return the statistics of each preprocessed image; empty ones if ``names`` is None.

    Args:
        tensors: float32 N×H×W×C.
        names: as in :class:`InputStatistics`.
        steps: the steps of the spec; they end in levels, with scale and normalize steps after them.

    Raises:
        ValueError: as in :func:`levels_of`.
    """
    if names is None:
        return [()] * len(tensors)
    values = Preprocessor(steps).values
    if values is None:
        raise ValueError("found steps that end in no uint8 levels, expected levels for statistics of the input.")
    statistics = InputStatistics(names)
    return [statistics.of(levels_of(tensor, values)) for tensor in tensors]
