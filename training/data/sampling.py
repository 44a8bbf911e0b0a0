"""Drawing of an epoch's images, so that patients with very many images do not dominate a fit.

In proportion to the images, five of 223 patients would have 45 % of an epoch; with equal shares, a patient with two
images would be seen as often as one with a thousand. The square root of the number of images lies in between.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Rows = npt.NDArray[np.int64]


@dataclass(frozen=True)
class PatientSampling:
    """Draw every epoch anew, with an expected number of images of a patient in proportion to ``n ** power``.

    ``n`` is the number of the patient's training images. A patient's images are drawn without replacement; only where
    more are due than there are, all of them are taken before one is repeated.

    Attributes:
        power: 0 gives each patient the same share, 0.5 the square root, 1 gives each image the same share.
        images: number of images in an epoch; None for as many as there are training images.
    """

    power: float = 0.5
    images: int | None = None

    def __post_init__(self) -> None:
        if not 0.0 <= self.power <= 1.0 or (self.images is not None and self.images < 1):
            raise ValueError(f"found {self}, expected a power of 0..1 and 1 image or more.")

    def expected(self, groups: npt.NDArray[np.str_]) -> npt.NDArray[np.float64]:
        """Return how often each image is drawn in an epoch on average, float64 N; the sum is the epoch's length."""
        _, which, counts = np.unique(groups, return_inverse=True, return_counts=True)
        return np.asarray((self._due(counts) / counts)[which], dtype=np.float64)

    def draw(self, groups: npt.NDArray[np.str_], rng: np.random.Generator) -> Rows:
        """Return the row numbers of one epoch, int64, patient by patient.

        The counts are drawn by systematic sampling (Madow 1949): each is its expected value, rounded up or down.
        """
        _, which, counts = np.unique(groups, return_inverse=True, return_counts=True)
        bounds = np.concatenate([[0.0], np.cumsum(self._due(counts))])
        bounds[-1] = round(bounds[-1])  # the sum of the parts may miss the whole by a rounding error
        drawn = np.diff(np.floor(bounds + rng.random()).astype(np.int64))
        order = np.argsort(which, kind="stable")
        members = np.split(order, np.cumsum(counts)[:-1])
        return np.concatenate([_some(rows, n, rng) for rows, n in zip(members, drawn, strict=True)]).astype(np.int64)

    def _due(self, counts: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
        """Return the expected number of images of each patient, from the numbers of images that there are."""
        share = counts.astype(np.float64) ** self.power
        return np.asarray(share / share.sum() * (self.images or int(counts.sum())), dtype=np.float64)


def _some(rows: Rows, count: int, rng: np.random.Generator) -> Rows:
    """Return ``count`` of ``rows``: all of them as often as they fit, and the rest without replacement."""
    rest = rng.choice(rows, count % len(rows), replace=False)
    return np.concatenate([np.tile(rows, count // len(rows)), rest])
