"""Files of the original programs: rotated and mirrored copies of each image, split at random or by patient."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import numpy.typing as npt

from training.data.assignment import split_by_group
from training.data.splits import Part, SplitPlan
from training.data.tensors import Tensors
from training.recipes.recipe import Copies

Files = npt.NDArray[np.int64]
"""int64 N×2: index of the image, and number of its copy."""


def dealt_files(images: int, copies: int, plan: SplitPlan) -> dict[Part, Files]:
    """Split all copies of all images at random."""
    files = np.stack(np.meshgrid(np.arange(images), np.arange(copies), indexing="ij"), axis=-1).reshape(-1, 2)
    files = np.random.default_rng(plan.seed).permutation(files)
    test, validation = (round(share * len(files)) for share in (plan.test, plan.validation))
    return {
        Part.TEST: files[:test],
        Part.VALIDATION: files[test : test + validation],
        Part.TRAIN: files[test + validation :],
    }


def dealt_groups(tensors: Tensors, copies: int, plan: SplitPlan) -> dict[Part, Files]:
    """Split by patient; all copies of a patient's images are in one part."""
    split = split_by_group(tensors.samples, plan)
    dealt: dict[Part, Files] = {}
    for part in Part:
        rows = np.flatnonzero([split[sample.group] is part for sample in tensors.samples])
        dealt[part] = np.stack(np.meshgrid(rows, np.arange(copies), indexing="ij"), axis=-1).reshape(-1, 2)
    return dealt


def copied(tensors: Tensors, copies: Copies, files: Files) -> Tensors:
    """Return tensors with one row per file, each computed from its image."""
    rows = tensors.take(files[:, 0])
    if copies.count == 1:
        return rows
    made = [_copy(image, copies, int(which)) for image, which in zip(rows.images, files[:, 1], strict=True)]
    return replace(rows, images=np.stack(made))


def _copy(image: npt.NDArray[np.float32], copies: Copies, which: int) -> npt.NDArray[np.float32]:
    """Return copy ``which`` of a tensor H×W×C: rotated about its centre (border 0), maybe mirrored."""
    turn, mirror = which % copies.turns, which >= copies.turns
    if mirror:
        image = image[:, ::-1]
    if not turn:
        return image
    height, width = image.shape[:2]
    matrix = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), copies.degrees[turn], 1.0)
    turned = cv2.warpAffine(np.ascontiguousarray(image), matrix, (width, height))
    return np.asarray(turned, dtype=np.float32).reshape(image.shape)
