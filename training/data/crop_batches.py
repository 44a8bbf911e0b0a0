"""Batches of random crops for networks that are also fitted on where the lesion is."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

import keras
import numpy as np
import numpy.typing as npt

from training.data.crop_plan import CropPlan
from training.data.crops import MarkedLesion, cut
from training.data.lesion_images import LesionImage

Floats = npt.NDArray[np.float32]
Targets = dict[str, Floats]


class CropBatches(keras.utils.PyDataset):  # type: ignore[misc]  # Keras ships no types
    """Batches of (crops, targets, weights), with the targets ``scores``, ``heat`` and ``suspicion``.

    Sites are drawn in proportion to the root of their number of images, labels within a site by
    :attr:`CropPlan.normal`. As in :class:`training.data.batches.Batches`, an epoch depends only on the seed and its
    number.
    """

    def __init__(
        self,
        images: Sequence[LesionImage],
        sites: Sequence[str],
        plan: CropPlan,
        *,
        labels: int,
        side_px: int,
        grid: int,
        batch: int,
        seed: int,
        normal: int | None = None,
    ) -> None:
        """Draw the first epoch.

        Args:
            images, sites: the images, and the site or scanner of each.
            plan: how crops are drawn.
            labels: number of labels.
            side_px: side of a crop.
            grid: number of cells along a side of the target ``heat``.
            batch: number of crops in a batch.
            seed: source of all random numbers.
            normal: index of the label ``normal``; None if there is none.
        """
        super().__init__()
        self._images, self._plan, self._labels = images, plan, labels
        self._side_px, self._grid, self._batch, self._seed = side_px, grid, batch, seed
        self._chances = chances([image.label for image in images], sites, {normal: plan.normal})
        self.deal(0)

    def deal(self, epoch: int) -> None:
        """Draw the images of ``epoch``, counted from 0."""
        self._epoch = epoch
        rng = np.random.default_rng((self._seed, epoch))
        self._rows = rng.choice(len(self._images), self._plan.epoch, p=self._chances)

    def __len__(self) -> int:
        return math.ceil(self._plan.epoch / self._batch)

    def __getitem__(self, index: int) -> tuple[Floats, Targets, Targets]:
        """Return batch ``index``: crops float32 B×S×S×1 (-1..1), targets, and a weight of each target."""
        rng = np.random.default_rng((self._seed, self._epoch, index))
        chosen = [self._images[row] for row in self._rows[index * self._batch : (index + 1) * self._batch]]
        crops, heat = zip(*(self._crop(image, rng) for image in chosen), strict=True)
        known = np.array([image.suspicion is not None for image in chosen], np.float32)
        targets = {
            "scores": np.eye(self._labels, dtype=np.float32)[[image.label for image in chosen]],
            "heat": np.stack(heat),
            "suspicion": np.array([[image.suspicion or 0.0] for image in chosen], np.float32),
        }
        ones = np.ones(len(chosen), np.float32)
        tensors = np.stack(crops)[..., np.newaxis].astype(np.float32) / np.float32(127.5) - np.float32(1)
        return tensors, targets, {"scores": ones, "heat": ones[:, np.newaxis], "suspicion": known}

    def images(self, index: int) -> Floats:
        """Return the crops of batch ``index`` alone, as :meth:`__getitem__` does."""
        return self[index][0]

    def _crop(self, image: LesionImage, rng: np.random.Generator) -> tuple[npt.NDArray[np.uint8], Floats]:
        windows = self._plan.windows
        levels, heat = cut(
            image,
            windows.draw(image, rng),
            self._side_px,
            self._grid,
            rng,
            one_lesion=isinstance(windows, MarkedLesion),
        )
        other = self._images[int(rng.integers(len(self._images)))].shares_below
        return self._plan.appearance.apply(levels, other, rng), heat

    def on_epoch_end(self) -> None:
        """Draw the next epoch."""
        self.deal(self._epoch + 1)


def chances(labels: Sequence[int], sites: Sequence[str], weights: dict[int | None, float]) -> npt.NDArray[np.float64]:
    """Return the probability of each image, float64 N: by the root of its site's size, then by label within the site.

    Args:
        labels, sites: label and site of each image.
        weights: weight of a label within its site, 1 if absent.
    """
    of_site, of_both = Counter(sites), Counter(zip(sites, labels, strict=True))
    kinds = {site: {label for place, label in of_both if place == site} for site in of_site}
    found = []
    for label, site in zip(labels, sites, strict=True):
        total = sum(weights.get(kind, 1.0) for kind in kinds[site])
        found.append(math.sqrt(of_site[site]) * weights.get(label, 1.0) / total / of_both[site, label])
    return np.asarray(np.array(found) / np.sum(found), np.float64)
