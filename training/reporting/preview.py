"""Rows of the preview sheet: a few training images as read, as preprocessed, and as augmented."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain, zip_longest
from typing import Any

import numpy as np
import numpy.typing as npt

from edge_runtime.bundle.spec import ModelSpec
from edge_runtime.errors import ImageError
from edge_runtime.images.colour import ColourOrder
from edge_runtime.images.reader import DecodedImage
from edge_runtime.preprocessing.preprocessor import preprocess
from edge_runtime.preprocessing.steps import Colour
from training.data.assignment import split_by_group
from training.data.augmentation import Augmentation
from training.data.datasets import Dataset, Sample
from training.data.samples import SampleReader
from training.data.splits import Part, select
from training.errors import DatasetError
from training.recipes.recipe import Recipe

Shown = npt.NDArray[np.uint8]
Tensor = npt.NDArray[np.float32]

DRAWS = 5


@dataclass(frozen=True)
class PreviewRow:
    """One training image; it contains no name of a file or a patient.

    Attributes:
        label: one of the spec's labels.
        size_px: width and height of the image as read (and cut, if one of its regions is labelled).
        image: as read (and cut), uint8 H×W×3 RGB.
        tensors: uint8 H×W×3 RGB: the preprocessed tensor, then its augmented draws, all with the same scaling.
    """

    label: str
    size_px: tuple[int, int]
    image: Shown
    tensors: tuple[Shown, ...]


def preview_rows(recipe: Recipe, dataset: Dataset, *, count: int, seed: int) -> tuple[PreviewRow, ...]:
    """Return rows of at most ``count`` random images of training patients, in rounds of one image for each label.

    Images that the runtime rejects are skipped. Images with contradictory labels are not used in fitting and are not
    shown.

    Raises:
        DatasetError: the data set cannot be split, or none of its training images can be read.
    """
    train = select(dataset.samples, split_by_group(dataset.samples, recipe.split, dataset.traits), Part.TRAIN)
    usable = [sample for sample in train if sample.name not in dataset.contradicted]
    images = SampleReader(recipe.spec)
    rows: list[PreviewRow] = []
    for sample in spread(usable, seed):
        if len(rows) == count:
            break
        try:
            image = images.read(sample)
            tensor = preprocess(image, recipe.spec.steps)
        except ImageError:
            continue
        draws = _draws(tensor, recipe.augmentation, np.random.default_rng((seed, len(rows))))
        rows.append(_row(recipe.spec, sample, image, (tensor, *draws)))
    if not rows:
        raise DatasetError(
            f"{dataset.root}: found {len(usable)} training images and none that can be read, expected at least one. "
            "Unpack the data set again."
        )
    return tuple(rows)


def spread(samples: list[Sample], seed: int) -> Iterator[Sample]:
    """Yield every sample, in rounds of one sample for each label; the order within a label is random by ``seed``."""
    rng = np.random.default_rng(seed)
    by_label = []
    for label in sorted({sample.label for sample in samples}):
        found = [sample for sample in samples if sample.label == label]
        by_label.append([found[i] for i in rng.permutation(len(found))])
    return (sample for sample in chain.from_iterable(zip_longest(*by_label)) if sample is not None)


def _draws(tensor: Tensor, augmentation: Augmentation | None, rng: np.random.Generator) -> tuple[Tensor, ...]:
    return () if augmentation is None else tuple(augmentation.apply(tensor, rng) for _ in range(DRAWS))


def _row(spec: ModelSpec, sample: Sample, image: DecodedImage, tensors: tuple[Tensor, ...]) -> PreviewRow:
    """Return a row whose tensors are all scaled by one minimum and maximum, so that they can be compared."""
    low, high = min(float(t.min()) for t in tensors), max(float(t.max()) for t in tensors)
    height, width = image.pixels.shape[:2]
    deep = image.pixels.dtype != np.uint8
    ends = (float(image.pixels.min()), float(image.pixels.max())) if deep else (0.0, 255.0)
    return PreviewRow(
        label=spec.labels[sample.label],
        size_px=(width, height),
        image=shown(image.pixels, image.order, *ends),
        tensors=tuple(shown(tensor, order_of(spec), low, high) for tensor in tensors),
    )


def order_of(spec: ModelSpec) -> ColourOrder:
    """Return the channel order of the last axis of a preprocessed tensor."""
    return [step.order for step in spec.steps if isinstance(step, Colour)][-1]


def shown(values: npt.NDArray[Any], order: ColourOrder, low: float, high: float) -> Shown:
    """Return ``values`` as an image for display: ``low..high`` is scaled to 0..255, channels in the order RGB.

    Args:
        values: H×W, H×W×1 or H×W×3, of any real dtype.
        order: channel order of the last axis; GREY is copied to all three channels.

    Returns:
        uint8 H×W×3; all 0 if ``low`` equals ``high``.
    """
    share = (values.astype(np.float32) - np.float32(low)) / np.float32(high - low or 1.0)
    levels = np.rint(share.clip(0, 1) * 255).astype(np.uint8)
    if order is ColourOrder.GREY:
        return np.repeat(levels.reshape(*levels.shape[:2], 1), 3, axis=2)
    return np.asarray(levels[..., ::-1] if order is ColourOrder.BGR else levels, dtype=np.uint8)
