"""Conversion of samples to tensors, with the device's own reader and preprocessing."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from edge_runtime.bundle.policy import Head
from edge_runtime.bundle.spec import ModelSpec
from edge_runtime.errors import ImageError
from edge_runtime.images.reader import DecodedImage
from edge_runtime.preprocessing.preprocessor import preprocess
from training.data.datasets import Sample
from training.data.samples import SampleReader
from training.errors import DatasetError

_LOG = logging.getLogger(__name__)
MOST_NAMED = 20
"""Maximum number of skipped images that a warning names; ``training audit`` lists them all."""


@dataclass(frozen=True)
class Tensors:
    """Preprocessed images with their labels, groups and colours, aligned on the first axis.

    Attributes:
        images: float32 N×H×W×C, after the spec's steps.
        labels: int64 N, index into the spec's labels.
        groups: N patient ids.
        colour: float64 N×6, mean and standard deviation of R, G and B of the image as read (and cut), 0..255.
        samples: the sample of each row.
        refused: one line for each image that the runtime rejects; these images have no row.
    """

    images: npt.NDArray[np.float32]
    labels: npt.NDArray[np.int64]
    groups: npt.NDArray[np.str_]
    colour: npt.NDArray[np.float64]
    samples: tuple[Sample, ...]
    refused: tuple[str, ...]

    def take(self, index: npt.NDArray[np.int64]) -> Tensors:
        """Return the rows at ``index``, in that order."""
        samples = tuple(self.samples[i] for i in index)
        rows = (self.images[index], self.labels[index], self.groups[index], self.colour[index])
        return Tensors(*rows, samples, self.refused)


def load_tensors(samples: Sequence[Sample], spec: ModelSpec, *, label: str, strict: bool = False) -> Tensors:
    """Read, crop and preprocess ``samples``; skip images that the runtime rejects, with a warning that names them.

    Args:
        label: name of the samples in messages.
        strict: raise an error instead of skipping an image.

    Raises:
        DatasetError: no image is left; ``strict`` is True and an image is rejected; or samples are regions and the
            spec has no rule for regions (or the reverse).
    """
    images, colour, kept = [], [], []
    refused: list[str] = []
    for sample, image, tensor in read_tensors(samples, spec, label=label, strict=strict, refused=refused):
        images.append(tensor)
        colour.append(colour_numbers(image.pixels))
        kept.append(sample)
    return Tensors(
        np.stack(images),
        np.array([sample.label for sample in kept], dtype=np.int64),
        np.array([sample.group for sample in kept]),
        np.array(colour, dtype=np.float64),
        tuple(kept),
        tuple(refused),
    )


def read_tensors(
    samples: Sequence[Sample],
    spec: ModelSpec,
    *,
    label: str,
    strict: bool = False,
    refused: list[str] | None = None,
) -> Iterator[tuple[Sample, DecodedImage, npt.NDArray[np.float32]]]:
    """Yield each sample that the runtime accepts, its decoded image, and its tensor, float32 H×W×C.

    Args:
        label, strict: as in :func:`load_tensors`.
        refused: list to which one line is added for each image that the runtime rejects.

    Raises:
        DatasetError: as in :func:`load_tensors`, after the last image.
    """
    lines = [] if refused is None else refused
    decoded = SampleReader(spec)
    for sample in tqdm(samples, desc=f"reading {label}", unit="image", disable=None, leave=False):
        try:
            image = decoded.read(sample)
            tensor = preprocess(image, spec.steps)
        except ImageError as error:
            lines.append(f"{sample.name}: {error.code}")
            continue
        yield sample, image, tensor
    if lines:
        _report(lines, len(samples), label, strict=strict)
    if len(lines) == len(samples):
        raise DatasetError(f"{label}: none of {len(samples)} images can be read; the first: {lines[:1]}")


def _report(refused: list[str], count: int, label: str, *, strict: bool) -> None:
    found = f"{label}: {len(refused)} of {count} images cannot be read"
    if strict:
        raise DatasetError(f"{found}, expected none: {_first(refused, 5)}. Repair or remove them, or drop --strict.")
    if len(refused) < count:  # if all are rejected, the caller raises an error
        _LOG.warning("%s and are skipped: %s", found, _first(refused, MOST_NAMED))


def _first(names: list[str], most: int) -> str:
    rest = len(names) - most
    return ", ".join(names[:most]) + (f" and {rest} more" if rest > 0 else "")


def colour_numbers(pixels: npt.NDArray[np.generic]) -> npt.NDArray[np.float64]:
    """Return the means, then the standard deviations, of R, G and B, float64 6. A grey image repeats its channel."""
    colour = np.repeat(pixels[..., np.newaxis], 3, axis=2) if pixels.ndim == 2 else pixels[..., ::-1]
    flat = colour.reshape(-1, 3).astype(np.float64)
    return np.concatenate([flat.mean(axis=0), flat.std(axis=0)])


def targets(labels: npt.NDArray[np.int64], spec: ModelSpec) -> npt.NDArray[np.float32]:
    """Return the targets of the loss, float32: one-hot N×labels, or N×1 for a single sigmoid."""
    if spec.head is Head.SIGMOID:
        return labels[:, np.newaxis].astype(np.float32)
    return np.eye(len(spec.labels), dtype=np.float32)[labels]


def balanced_index(labels: npt.NDArray[np.int64], seed: int) -> npt.NDArray[np.int64]:
    """Return sorted row numbers, int64; rows are dropped at random until each label is as frequent as the rarest."""
    rng = np.random.default_rng(seed)
    rows = [np.flatnonzero(labels == label) for label in np.unique(labels)]
    size = min(len(found) for found in rows)
    return np.sort(np.concatenate([rng.choice(found, size, replace=False) for found in rows])).astype(np.int64)


def capped_index(groups: npt.NDArray[np.str_], most: int, seed: int) -> npt.NDArray[np.int64]:
    """Return sorted row numbers, int64, with at most ``most`` rows of each group, drawn at random."""
    rng = np.random.default_rng(seed)
    rows = [np.flatnonzero(groups == group) for group in np.unique(groups)]
    kept = [rng.choice(found, min(most, len(found)), replace=False) for found in rows]
    return np.sort(np.concatenate(kept)).astype(np.int64)


def label_weights(
    labels: npt.NDArray[np.int64], drawn: npt.NDArray[np.float64] | None = None
) -> npt.NDArray[np.float32]:
    """Return a weight for each row, float32 N of mean 1; every label that occurs has the same total weight.

    Args:
        drawn: how often each row is drawn in an epoch on average, float64 N; None is once. Mean and totals are those
            of an epoch.
    """
    _, which = np.unique(labels, return_inverse=True)
    counts = np.bincount(which, weights=drawn)
    return np.asarray((counts.sum() / (len(counts) * counts))[which], dtype=np.float32)
