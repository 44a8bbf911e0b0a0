"""Shuffled batches for fitting, on any Keras backend."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from training.data.augmentation import Augmentation

Images = npt.NDArray[np.float32]
Teach = Callable[[Images], npt.NDArray[np.float32]]
"""The teachers of a distilled network: images, float32 B×H×W×C → their probabilities, float32 B×outputs."""
Draw = Callable[[np.random.Generator], npt.NDArray[np.int64]]
"""The rows of one epoch, always as many; without it an epoch has each row once."""


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
        teach: Teach | None = None,
        draw: Draw | None = None,
        epoch: int = 0,
    ) -> None:
        super().__init__()
        self._images, self._targets, self._batch = images, targets, batch
        self._augmentation, self._weights, self._seed = augmentation, weights, seed
        self._teach, self._draw = teach, draw
        self.deal(epoch)

    def deal(self, epoch: int) -> None:
        """Draw and shuffle for ``epoch``, counted from 0."""
        self._epoch = epoch
        rng = np.random.default_rng((self._seed, self._epoch))
        self._order = rng.permutation(len(self._images) if self._draw is None else self._draw(rng))

    def __len__(self) -> int:
        return math.ceil(len(self._order) / self._batch)

    def __getitem__(self, index: int) -> tuple[npt.NDArray[np.float32], ...]:
        """Return batch ``index`` of this epoch: float32 B×H×W×C, B×outputs, and B weights if given.

        With teachers, the targets are B×(2·outputs): the labels, then the teachers' probabilities on these images.
        """
        rows, images = self._rows(index), self.images(index)
        targets = self._targets[rows]
        if self._teach is not None:
            targets = np.concatenate([targets, self._teach(images)], axis=1)
        weights = () if self._weights is None else (self._weights[rows],)
        return images, targets, *weights

    def images(self, index: int) -> Images:
        """Return the images of batch ``index`` of this epoch, float32 B×H×W×C, as :meth:`__getitem__` does."""
        images = self._images[self._rows(index)]
        if self._augmentation is None:
            return images
        rng = np.random.default_rng((self._seed, self._epoch, index))
        return np.stack([self._augmentation.apply(image, rng) for image in images])

    def _rows(self, index: int) -> npt.NDArray[np.int64]:
        return self._order[index * self._batch : (index + 1) * self._batch]

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
