"""Fingerprint of a fit's plan and images, for comparison by a later run."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, fields, is_dataclass

import numpy as np

from edge_runtime.bundle.manifest import TeacherModel
from training.data.tensors import Tensors
from training.recipes.recipe import Recipe


@dataclass(frozen=True)
class FittedOn:
    """Values that must be equal in a fit and in the fit that it continues.

    Attributes:
        plan: the training plan, the augmentation and the teachers if there are any, as text.
        training, validation: SHA-256 of the preprocessed images, with their names and labels.
    """

    plan: str
    training: str
    validation: str


def fitted_on(recipe: Recipe, train: Tensors, validation: Tensors, teachers: tuple[TeacherModel, ...] = ()) -> FittedOn:
    """Return the fingerprint of ``recipe`` on these images, for comparison with a checkpoint."""
    how = f"augmentation {stated(recipe.augmentation)}" if recipe.crops is None else f"crops {recipe.crops}"
    plan = f"{stated(recipe.plan)}, {how}"
    if recipe.teacher is not None:
        plan += f", {recipe.teacher}, taught by {', '.join(f'{t.name} {t.sha256}' for t in teachers)}"
    return FittedOn(plan, _digest(train), _digest(validation))


def stated(record: object) -> str:
    """Return ``repr(record)`` without fields that are None and have :data:`~edge_runtime.serialisation.records.ABSENT`.

    A field that is added later therefore changes no fingerprint of a recipe that does not use it.
    """
    if not is_dataclass(record):
        return repr(record)
    shown = [
        f"{f.name}={getattr(record, f.name)!r}"
        for f in fields(record)
        if not (f.metadata.get("absent") and getattr(record, f.name) is None)
    ]
    return f"{type(record).__qualname__}({', '.join(shown)})"


def _digest(tensors: Tensors) -> str:
    digest = hashlib.sha256("\n".join(sample.name for sample in tensors.samples).encode())
    digest.update(np.ascontiguousarray(tensors.labels).tobytes())
    digest.update(np.ascontiguousarray(tensors.images).data)
    return digest.hexdigest()
