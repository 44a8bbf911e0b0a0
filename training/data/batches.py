"""Shuffled batches for fitting, on any Keras backend."""

from __future__ import annotations

import math
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from training.data.augmentation import Augmentation

Images = npt.NDArray[np.float32]


class Batches(keras.utils.PyDataset):  # type: ignore[misc]  # Keras ships no types
    """Shuffled batches of (images, targets), and weights if given. The same seed gives the same batches in every run.

    An epoch's order and augmentation depend only on the seed and the epoch's number, not on earlier epochs. A fit that
    resumes at ``epoch`` (counted from 0) therefore gets the same batches as an uninterrupted fit. Fit with
    :class:`DealEpoch` among the callbacks and with ``shuffle=False``: Keras would otherwise shuffle the batches again,
    with a random state that is not saved.
    """

    def __init__(
        self,
        images: Images,
        targets: Images,
        *,
        batch: int,
        seed: int,
        augmentation: Augmentation | None,
        weights: npt.NDArray[np.float32] | None = None,
        epoch: int = 0,
    ) -> None:
        super().__init__()
        self._images, self._targets, self._batch = images, targets, batch
        self._augmentation, self._weights, self._seed = augmentation, weights, seed
        self.deal(epoch)

    def deal(self, epoch: int) -> None:
        """Shuffle for ``epoch``, counted from 0."""
        self._epoch = epoch
        self._order = np.random.default_rng((self._seed, self._epoch)).permutation(len(self._images))

    def __len__(self) -> int:
        return math.ceil(len(self._images) / self._batch)

    def __getitem__(self, index: int) -> tuple[npt.NDArray[np.float32], ...]:
        """Return batch ``index`` of this epoch: float32 B×H×W×C, B×outputs, and B weights if given."""
        rows = self._order[index * self._batch : (index + 1) * self._batch]
        images = self._images[rows]
        if self._augmentation is not None:
            rng = np.random.default_rng((self._seed, self._epoch, index))
            images = np.stack([self._augmentation.apply(image, rng) for image in images])
        weights = () if self._weights is None else (self._weights[rows],)
        return images, self._targets[rows], *weights

    def on_epoch_end(self) -> None:
        """Shuffle for the next epoch."""
        self.deal(self._epoch + 1)


class DealEpoch(keras.callbacks.Callback):  # type: ignore[misc]  # Keras ships no types
    """Callback that shuffles at each epoch's start.

    Keras calls ``on_epoch_end`` once more than it fits epochs, when it reads the first batches' shapes.
    """

    def __init__(self, batches: Batches) -> None:
        super().__init__()
        self._batches = batches

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Shuffle for ``epoch``, counted from 0."""
        self._batches.deal(epoch)
