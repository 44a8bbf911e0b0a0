"""Fingerprint of a fit's plan and images, for comparison by a later run."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np

from training.data.tensors import Tensors
from training.recipes.recipe import Recipe


@dataclass(frozen=True)
class FittedOn:
    """Values that must be equal in a fit and in the fit that it continues.

    Attributes:
        plan: the training plan and the augmentation, as text.
        training, validation: SHA-256 of the preprocessed images, with their names and labels.
    """

    plan: str
    training: str
    validation: str


def fitted_on(recipe: Recipe, train: Tensors, validation: Tensors) -> FittedOn:
    """Return the fingerprint of ``recipe`` on these images, for comparison with a checkpoint."""
    how = f"augmentation {recipe.augmentation}" if recipe.crops is None else f"crops {recipe.crops}"
    return FittedOn(f"{recipe.plan}, {how}", _digest(train), _digest(validation))


def _digest(tensors: Tensors) -> str:
    digest = hashlib.sha256("\n".join(sample.name for sample in tensors.samples).encode())
    digest.update(np.ascontiguousarray(tensors.labels).tobytes())
    digest.update(np.ascontiguousarray(tensors.images).data)
    return digest.hexdigest()
