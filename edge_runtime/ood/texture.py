"""How the grey levels of a small picture differ from place to place: differences over a distance, and Laplacians.

Levels lie row after row on one line, so that a neighbour across or down is one distance along it, and a difference of
all pixels is one subtraction. Beside a picture's edge such a neighbour lies in another row; those places are cut off.
All are whole numbers, and so is every sum.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

Levels = npt.NDArray[np.uint8]
Wide = npt.NDArray[np.int16]

FARTHEST_PX = 16
"""The longest distance over which differences are asked for."""


class Differences:
    """Differences of one picture's levels over one distance."""

    def __init__(self, line: Wide, shape: tuple[int, int], lag: int) -> None:
        """Take both differences of H×W levels on a ``line``, which goes on for ``lag`` more at least."""
        height, width = shape
        size, row = height * width, lag * width
        self._shape, self._lag, self._row = shape, lag, row
        self._line_across: Wide = line[lag : size + lag] - line[:size]
        self.across: Wide = self._line_across.reshape(shape)[:, :-lag]
        """int16 H×(W − lag), each level less the one ``lag`` px to its left; empty if the picture is narrower."""
        self.down: Wide = line[row:size] - line[: max(size - row, 0)]
        """int16 (H − lag)·W, each level less the one ``lag`` px above; empty if the picture is lower."""

    def energies(self) -> tuple[float, float]:
        """Return the mean squares across and down; 0 of nothing."""
        return mean_square(self.across), mean_square(self.down)

    def laplacian(self) -> Wide:
        """Return the Laplacian where it is whole, int16 (H − 2 lag)×(W − 2 lag), -1020..1020; positive at a bright dot.

        It is what differences lose from one place to the next, across and down.
        """
        (height, width), lag, row = self._shape, self._lag, self._row
        if height <= 2 * lag or width <= 2 * lag:
            return np.empty((0, 0), dtype=np.int16)
        end = height * width - row
        across, down = self._line_across, self.down
        found: Wide = across[row - lag : end - lag] - across[row:end]
        found += down[:-row]
        found -= down[row:]
        return found.reshape(-1, width)[:, lag:-lag]


class Texture:
    """What several statistics of one picture share.

    Attributes:
        grey: uint8 H×W.
        mean, variance: of its levels.
        ones, fours: differences over 1 and 4 px.
        roughness_4: how levels differ over 4 px beside how they vary.
    """

    def __init__(self, grey: Levels) -> None:
        """Work out what every texture is asked for."""
        self.grey = grey
        self.mean = cv2.sumElems(grey)[0] / grey.size
        self.variance = variance(grey, self.mean)
        self._line = np.zeros(grey.size + FARTHEST_PX, dtype=np.int16)
        self._line[: grey.size] = grey.ravel()
        self.ones, self.fours = self.differences(1), self.differences(4)
        self.roughness_4 = self.beside_variance(sum(self.fours.energies()))

    def differences(self, lag: int) -> Differences:
        """Return differences over ``lag`` px, at most :data:`FARTHEST_PX`."""
        height, width = self.grey.shape
        return Differences(self._line, (height, width), lag)

    def beside_variance(self, energy: float) -> float:
        """Return a mean square as a share of the variance, both directions together; little where nothing varies."""
        return energy / (4 * self.variance + 16)


def variance(values: npt.NDArray[Any], mean: float) -> float:
    """Return the variance of uint8 or int16 values, 0 or more."""
    return max(mean_square(values) - mean * mean, 0.0)


def mean_square(values: npt.NDArray[Any]) -> float:
    """Return the mean square of uint8 or int16 values; 0 of nothing."""
    size = values.size
    return squares(values) / size if size else 0.0


def squares(values: npt.NDArray[Any]) -> int:
    """Return the sum of squares of uint8 or int16 values, of which there is one at least.

    Some builds of OpenCV square a root: rounding gives the whole number back.
    """
    return round(cv2.norm(values, cv2.NORM_L2SQR))
