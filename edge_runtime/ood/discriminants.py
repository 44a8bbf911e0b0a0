"""Linear discriminants of the out-of-distribution check, for own images that were altered, such as enlarged ones.

A distance notices features that lie far from their mean. It hardly notices many features that all move a little, as
those of an enlarged image do. A linear function that was fitted to tell own images from altered ones notices them
(outlier exposure: Hendrycks, Mazeika & Dietterich 2019, ICLR, arXiv:1812.04606).
"""

from __future__ import annotations

from math import isfinite
from typing import TYPE_CHECKING

from edge_runtime.serialisation.float16 import unpacked
from edge_runtime.serialisation.frozen import dataclass

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt


@dataclass(frozen=True)
class Discriminants:
    """M linear functions of an image's scaled features a: W a + b, about 0 for own images, 1 at the limit.

    Attributes:
        names: what each function was fitted to notice, such as ``enlarged``.
        weights: W, M rows of as many numbers as there are features (:mod:`edge_runtime.serialisation.float16`).
        offsets: b, M numbers.
    """

    names: tuple[str, ...]
    weights: str
    offsets: tuple[float, ...]

    def __post_init__(self) -> None:
        if not self.names or "" in self.names or len(set(self.names)) != len(self.names):
            raise ValueError(f"familiarity: found discriminants {self.names}, expected one or more different names.")
        if len(self.offsets) != len(self.names) or not all(map(isfinite, self.offsets)):
            raise ValueError(
                f"familiarity: found offsets {self.offsets}, expected {len(self.names)} finite numbers, one for each "
                "discriminant."
            )

    def matrix(self, features: int) -> npt.NDArray[np.float64]:
        """Return W, float64 M×``features``.

        Raises:
            ValueError: the weights have another size, or are not finite.
        """
        return unpacked(self.weights, len(self.names), features, "familiarity discriminants")
