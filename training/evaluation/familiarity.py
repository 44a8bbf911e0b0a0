"""Fit the out-of-distribution check (``familiarity``): mean, covariance and limit of image statistics.

The limit is not fitted on the images that the distance was fitted on, because their distances are too small. Patients
are split into folds; each fold's distances are computed from the images of the other folds. Every patient has the same
weight in the limit, so that one unusual slide with many images does not move it.

Source of the distance: Mahalanobis 1936; use for out-of-distribution images: Lee et al. 2018, NeurIPS.
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
from edge_runtime.ood.statistics import statistics
from training.data.datasets import Sample
from training.data.samples import SampleReader
from training.errors import DatasetError

Floats = npt.NDArray[np.float64]

FOLDS = 5
FLOOR = 0.01
"""Standard deviation (of statistics about -1..1) added to every statistic: one that never varies in the model's own
images, such as colour in grey ones, must not refer an image for a hundredth of its range."""

WHOLE_FLOOR = 0.07
"""The same of whole images that regions lie in. They are few, one or two a patient, and narrowly alike in most
statistics; a film of another scan, with a grey surround, lies forty deviations away in some. Under the small floor the
limit is that film's, and an ultrasound lies within it. Chosen among .01 to .1 (docs/research/familiarity.md)."""

LEAST = 2 * len(NAMES)
"""Images under which a covariance of so many statistics says nothing."""

_DIGITS = 4


@dataclass(frozen=True, eq=False)
class ImageStatistics:
    """Image statistics, float64 N×K, and N patient ids.

    Attributes:
        sides_px: int64 N, shorter sides of whole images that regions lie in; None where what the model is shown was
            counted.
    """

    statistics: Floats
    groups: npt.NDArray[np.str_]
    sides_px: npt.NDArray[np.int64] | None = None


@dataclass(frozen=True)
class FittedFamiliarity:
    """The fitted check, and the origin of its numbers.

    Attributes:
        basis: sentences for people.
    """

    familiarity: Familiarity
    basis: str


def see(samples: Sequence[Sample], spec: ModelSpec, *, whole: bool = False) -> ImageStatistics:
    """Read images and compute their statistics; images that the runtime refuses are left out.

    Args:
        whole: count the images that the samples' regions lie in, each once, and not the squares cut out of them.

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
        raise DatasetError(f"familiarity: none of {len(samples)} images can be read; run training audit on the data.")
    return ImageStatistics(np.array(rows), np.array(groups), np.array(sides) if whole else None)


def once_each(samples: Sequence[Sample]) -> list[Sample]:
    """Return the first sample of each file: a film on which many regions are marked is one image."""
    found: dict[Path, Sample] = {}
    for sample in samples:
        found.setdefault(sample.path, sample)
    return list(found.values())


def fit_familiarity(seen: ImageStatistics, share: float) -> FittedFamiliarity:
    """Fit mean and covariance on all of ``seen``, and the limit by folds of its patients.

    Args:
        seen: the model's own images, of training and validation patients.
        share: of images of a patient never seen (0..1, ends excluded) that may lie beyond the limit.

    Raises:
        DatasetError: fewer than :data:`LEAST` images, or fewer patients than folds.
        ValueError: ``share`` is out of its range.
    """
    if not 0.0 < share < 1.0:
        raise ValueError(f"familiarity: found share {share}, expected a number between 0 and 1, ends excluded.")
    patients = np.unique(seen.groups)
    if len(seen.groups) < LEAST or len(patients) < FOLDS:
        raise DatasetError(
            f"familiarity: found {len(seen.groups)} images of {len(patients)} patients, expected {LEAST} or more of "
            f"{FOLDS} or more; leave --familiar out, or give more data."
        )
    limit = _rounded(weighted_limit(_held_out(seen, patients), seen.groups, share), up=True)
    familiarity = _model(seen.statistics, limit, _floor(seen))
    if seen.sides_px is not None:  # half the side: a quarter of the pixels on the same region
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


def weighted_limit(distances: Floats, groups: npt.NDArray[np.str_], share: float) -> float:
    """Return the smallest distance beyond which lies at most ``share`` of a group's images, on average over groups.

    Args:
        distances: float64 N.
        groups: N ids.
    """
    _, index, counts = np.unique(groups, return_inverse=True, return_counts=True)
    weights = 1.0 / (counts[index] * len(counts))
    order = np.argsort(-distances, kind="stable")
    beyond = np.cumsum(weights[order])  # if the limit lay just under this distance
    return float(distances[order][np.searchsorted(beyond, share + 1e-12, side="right")])


def _held_out(seen: ImageStatistics, patients: npt.NDArray[np.str_]) -> Floats:
    """Return each image's distance from the images of the other folds, float64 N."""
    counts = {patient: int((seen.groups == patient).sum()) for patient in patients.tolist()}
    order = sorted(counts, key=lambda patient: (-counts[patient], patient))  # so that folds are about equally large
    fold_of = {patient: i % FOLDS for i, patient in enumerate(order)}
    folds = np.array([fold_of[group] for group in seen.groups.tolist()])
    found = np.empty(len(folds))
    for fold in range(FOLDS):
        model = _model(seen.statistics[folds != fold], 1.0, _floor(seen))
        found[folds == fold] = model.distances(seen.statistics[folds == fold])
    return found


def _model(found: Floats, limit: float, floor: float) -> Familiarity:
    """Whiten by the covariance: with C Cᵀ = S, the distance of x is ‖C⁻¹ (x − mean)‖."""
    covariance = np.cov(found, rowvar=False) + floor**2 * np.eye(len(NAMES))
    whitening = np.linalg.inv(np.linalg.cholesky(covariance))[np.tril_indices(len(NAMES))]
    mean = tuple(round(value, 5) for value in found.mean(axis=0).tolist())
    return Familiarity(STATISTICS, mean, tuple(_rounded(value) for value in whitening.tolist()), limit)


def _rounded(value: float, *, up: bool = False) -> float:
    """Round to four significant digits: they hold the limit to a thousandth, and keep the JSON short."""
    rounded = float(f"{value:.{_DIGITS}g}")
    return rounded if not up or rounded >= value else float(f"{value * (1 + 10.0 ** (1 - _DIGITS)):.{_DIGITS}g}")
