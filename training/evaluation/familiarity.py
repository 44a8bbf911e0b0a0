"""Fits the out-of-distribution check, which JSON calls ``familiarity``, on a model's training images.

The check compares image statistics with those of the training images: images beyond a limit distance are referred.
The limit is not chosen on the images to which the distance was fitted, because new images have larger distances.
Instead, patients are assigned to folds, and distances of a fold are measured from the images of the other folds.
Every patient has equal weight in the limit, whatever the number of their images. Therefore one slide with a dirty
cover glass does not change it.

Source of the distance: Mahalanobis 1936; of its use for out-of-distribution images: Lee et al. 2018, NeurIPS.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from edge_runtime.bundle.spec import ModelSpec
from edge_runtime.errors import ImageError
from edge_runtime.ood.detector import NAMES, STATISTICS, Familiarity, WholeImage
from edge_runtime.ood.network_features import NetworkFamiliarity
from edge_runtime.ood.statistics import statistics
from training.data.datasets import Sample
from training.data.samples import SampleReader
from training.errors import DatasetError

Floats = npt.NDArray[np.float64]

FOLDS = 5
FLOOR = 0.01
"""Standard deviation (of statistics about -1..1) added to every statistic. A statistic that is constant in the training
images, such as colour in grey images, must not refer an image for a difference of 0.01 of its range."""

WHOLE_FLOOR = 0.07
"""The same for whole images that contain regions. There are only one or two per patient, and most statistics vary
little between them. A film from another scanner, with a grey border, differs by forty standard deviations in some. With
the smaller value, that film sets the limit, and an ultrasound image lies within it. Chosen from 0.01 to 0.1
(docs/research/familiarity.md)."""

LEAST = 2 * len(NAMES)
"""Smallest number of images for a usable covariance of the statistics."""

_DIGITS = 4


@dataclass(frozen=True, eq=False)
class ImageStatistics:
    """Statistics of N images.

    Attributes:
        statistics: float64 N×K.
        groups: N patient ids.
        sides_px: int64 N, shorter sides of whole images that contain regions; None for images as the model receives
            them.
    """

    statistics: Floats
    groups: npt.NDArray[np.str_]
    sides_px: npt.NDArray[np.int64] | None = None


@dataclass(frozen=True)
class FittedFamiliarity:
    """The fitted out-of-distribution check, and how it was fitted.

    Attributes:
        basis: sentences for the training record.
    """

    familiarity: Familiarity | NetworkFamiliarity
    basis: str


def see(samples: Sequence[Sample], spec: ModelSpec, *, whole: bool = False) -> ImageStatistics:
    """Read images and compute their statistics; images that the runtime rejects are left out.

    Args:
        whole: use the whole images that contain the regions, each once, instead of the squares cut out of them.

    Raises:
        DatasetError: no image can be read.
    """
    rows, groups, sides = [], [], []
    images = SampleReader(spec)
    for sample in once_each(samples) if whole else samples:
        try:
            image = images.whole(sample) if whole else images.read(sample)
        except ImageError:
            continue
        rows.append(statistics(image))
        groups.append(sample.group)
        sides.append(min(image.pixels.shape[:2]))
    if not rows:
        raise DatasetError(
            f"familiarity: found {len(samples)} images and none that can be read, expected at least one. "
            "Run training audit on the data."
        )
    return ImageStatistics(np.array(rows), np.array(groups), np.array(sides) if whole else None)


def once_each(samples: Sequence[Sample]) -> list[Sample]:
    """Return the first sample of each file. A film with several marked regions counts as one image."""
    found: dict[Path, Sample] = {}
    for sample in samples:
        found.setdefault(sample.path, sample)
    return list(found.values())


def fit_familiarity(seen: ImageStatistics, share: float) -> FittedFamiliarity:
    """Fit mean and covariance on all of ``seen``, and the limit by folds of its patients.

    Args:
        seen: images of training and validation patients.
        share: tolerated share (0..1, ends excluded) of a new patient's images beyond the limit.

    Raises:
        DatasetError: fewer than :data:`LEAST` images, or fewer patients than folds.
        ValueError: ``share`` is out of its range.
    """
    if not 0.0 < share < 1.0:
        raise ValueError(f"familiarity: found share {share}, expected a number between 0 and 1, ends excluded.")
    patients = np.unique(seen.groups)
    if len(seen.groups) < LEAST or len(patients) < FOLDS:
        raise DatasetError(
            f"familiarity: found {len(seen.groups)} images of {len(patients)} patients, expected at least {LEAST} "
            f"images of at least {FOLDS} patients. Leave --familiar out, or give more data."
        )
    limit = _rounded(weighted_limit(_held_out(seen), seen.groups, share), up=True)
    familiarity = _model(seen.statistics, limit, _floor(seen))
    if seen.sides_px is not None:  # half the side has a quarter of the pixels on the same region
        familiarity = replace(familiarity, whole=WholeImage(max(1, int(seen.sides_px.min()) // 2)))
    return FittedFamiliarity(familiarity, _basis(familiarity, seen, share))


def _basis(fitted: Familiarity, seen: ImageStatistics, share: float) -> str:
    what, small = "images", ""
    if fitted.whole is not None:
        what = "whole images"
        small = f", as are those with a side under {fitted.whole.least_side_px} px, half of the shortest among them"
    return (
        f"Familiarity: {what} farther than {fitted.limit:g} (Mahalanobis distance of {len(NAMES)} image statistics, "
        f"{STATISTICS}) from the model's own are referred{small}. Fitted on {len(seen.groups)} {what} of "
        f"{len(np.unique(seen.groups))} training and validation patients; in {FOLDS} folds of patients {share:g} of a "
        "held-out patient's images lie farther on average."
    )


def _floor(seen: ImageStatistics) -> float:
    return FLOOR if seen.sides_px is None else WHOLE_FLOOR


def equal_weights(groups: npt.NDArray[np.str_]) -> Floats:
    """Return a weight for each image, float64 N of sum 1, so that every group has the same weight.

    Args:
        groups: N ids.
    """
    _, index, counts = np.unique(groups, return_inverse=True, return_counts=True)
    return np.asarray(1.0 / (counts[index] * len(counts)))


def weighted_limit(distances: Floats, groups: npt.NDArray[np.str_], share: float) -> float:
    """Return the smallest distance beyond which at most ``share`` of a group's images lie, on average over groups.

    Args:
        distances: float64 N.
        groups: N ids.
    """
    weights = equal_weights(groups)
    order = np.argsort(-distances, kind="stable")
    beyond = np.cumsum(weights[order])  # if the limit lay just under this distance
    return float(distances[order][np.searchsorted(beyond, share + 1e-12, side="right")])


def folds_of(groups: npt.NDArray[np.str_]) -> npt.NDArray[np.int64]:
    """Return the fold (0..:data:`FOLDS` - 1) of each image, int64 N; all images of a patient are in one fold.

    Args:
        groups: N patient ids.
    """
    names, index, counts = np.unique(groups, return_inverse=True, return_counts=True)
    order = sorted(range(len(names)), key=lambda i: (-counts[i], names[i]))  # gives folds of about equal size
    folds = np.empty(len(names), np.int64)
    folds[order] = np.arange(len(names)) % FOLDS
    return folds[index]


def _held_out(seen: ImageStatistics) -> Floats:
    """Return each image's distance from the images of the other folds, float64 N."""
    folds = folds_of(seen.groups)
    found = np.empty(len(folds))
    for fold in range(FOLDS):
        model = _model(seen.statistics[folds != fold], 1.0, _floor(seen))
        found[folds == fold] = model.distances(seen.statistics[folds == fold])
    return found


def _model(found: Floats, limit: float, floor: float) -> Familiarity:
    """Return the check with whitening by the covariance S = C Cᵀ: the distance of x is ‖C⁻¹ (x − mean)‖."""
    covariance = np.cov(found, rowvar=False) + floor**2 * np.eye(len(NAMES))
    whitening = np.linalg.inv(np.linalg.cholesky(covariance))[np.tril_indices(len(NAMES))]
    mean = tuple(round(value, 5) for value in found.mean(axis=0).tolist())
    return Familiarity(STATISTICS, mean, tuple(_rounded(value) for value in whitening.tolist()), limit)


def _rounded(value: float, *, up: bool = False) -> float:
    """Round to four significant digits: the limit is exact to 0.1 %, and the JSON stays short."""
    rounded = float(f"{value:.{_DIGITS}g}")
    return rounded if not up or rounded >= value else float(f"{value * (1 + 10.0 ** (1 - _DIGITS)):.{_DIGITS}g}")
