"""Shuffled batches for fitting, on any Keras backend."""

from __future__ import annotations

import math

import keras
import numpy as np
import numpy.typing as npt

from training.augmentation import Augmentation

Images = npt.NDArray[np.float32]


class Batches(keras.utils.PyDataset):  # type: ignore[misc]  # Keras ships no types
    """Shuffled batches of (images, targets); the same seed gives the same batches in every run."""

    def __init__(
        self, images: Images, targets: Images, *, batch: int, seed: int, augmentation: Augmentation | None
    ) -> None:
        super().__init__()
        self._images, self._targets, self._batch = images, targets, batch
        self._augmentation, self._seed, self._epoch = augmentation, seed, 0
        self._shuffle()

    def _shuffle(self) -> None:
        self._order = np.random.default_rng((self._seed, self._epoch)).permutation(len(self._images))

    def __len__(self) -> int:
        return math.ceil(len(self._images) / self._batch)

    def __getitem__(self, index: int) -> tuple[Images, Images]:
        """Return batch ``index`` of this epoch: float32 B×H×W×C and B×outputs."""
        rows = self._order[index * self._batch : (index + 1) * self._batch]
        images = self._images[rows]
        if self._augmentation is not None:
            rng = np.random.default_rng((self._seed, self._epoch, index))
            images = np.stack([self._augmentation.apply(image, rng) for image in images])
        return images, self._targets[rows]

    def on_epoch_end(self) -> None:
        """Deal the next epoch."""
        self._epoch += 1
        self._shuffle()
