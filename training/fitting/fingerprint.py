"""What a fit is fitted on, in a form that a later run can compare."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np

from training.data.tensors import Tensors
from training.recipes.recipe import Recipe


@dataclass(frozen=True)
class FittedOn:
    """What a fit must have in common with the one that it continues.

    Attributes:
        plan: the training plan and the augmentation, as text.
        training, validation: SHA-256 of the images, after the steps, with their names and labels.
    """

    plan: str
    training: str
    validation: str


def fitted_on(recipe: Recipe, train: Tensors, validation: Tensors) -> FittedOn:
    """Describe what ``recipe`` is fitted on, for comparison with a checkpoint."""
    return FittedOn(f"{recipe.plan}, augmentation {recipe.augmentation}", _digest(train), _digest(validation))


def _digest(tensors: Tensors) -> str:
    digest = hashlib.sha256("\n".join(sample.name for sample in tensors.samples).encode())
    digest.update(np.ascontiguousarray(tensors.labels).tobytes())
    digest.update(np.ascontiguousarray(tensors.images).data)
    return digest.hexdigest()
