"""The training record: the origin of a model, for its artifact, its bundle and its model card."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import keras
import numpy as np
import numpy.typing as npt

from edge_runtime.bundle.manifest import Distillation, Figure, TeacherModel, TrainingRecord
from edge_runtime.bundle.metrics import SplitAudit
from training.data.datasets import Dataset
from training.data.splits import Part
from training.data.tensors import Tensors
from training.recipes.recipe import Recipe
from training.versions import versions

PACKAGES = ("numpy", "opencv-python-headless")


def record(
    recipe: Recipe,
    dataset: Dataset,
    parts: Mapping[Part, Tensors],
    *,
    contradicted: int,
    epochs: int,
    teachers: tuple[TeacherModel, ...] = (),
) -> TrainingRecord:
    """Return the training record of a fit.

    Args:
        contradicted: number of images left out of fitting because a near copy has another label.
        epochs: number of epochs done; early stopping may end a fit before the plan does.
    """
    left_out = {"refused": sum(len(tensors.refused) for tensors in parts.values()), "contradicted": contradicted}
    plan, teacher = recipe.split, recipe.teacher
    return TrainingRecord(
        recipe=recipe.spec.name,
        dataset=recipe.source.title,
        citation=recipe.source.citation,
        licence=recipe.source.licence,
        research_only=recipe.source.research_only,
        split=(
            f"by {dataset.grouped_by}, stratified, seed {plan.seed}; "
            f"{plan.validation:.0%} validation, {f'{plan.test:.0%}' if plan.test else 'no'} test"
        ),
        images={part.value: len(tensors.labels) for part, tensors in parts.items()} | left_out,
        groups={part.value: len(set(tensors.groups)) for part, tensors in parts.items()},
        epochs=epochs,
        versions=versions(("keras", keras.backend.backend(), *PACKAGES)),
        claims=tuple(Figure(claim.name, claim.value) for claim in recipe.claims),
        caveat=recipe.caveat,
        audit=audit_split(dataset, parts),
        distillation=None if teacher is None else Distillation(teacher.weight, teacher.temperature, teachers),
    )


def audit_split(dataset: Dataset, parts: Mapping[Part, Tensors]) -> SplitAudit:
    """Count leaks of a split: groups in two parts, and held-out tensors that are also in the training part."""
    groups = [set(tensors.groups.tolist()) for tensors in parts.values()]
    seen = {_digest(image) for image in parts[Part.TRAIN].images}
    held_out = (image for part, tensors in parts.items() if part is not Part.TRAIN for image in tensors.images)
    return SplitAudit(
        shared_groups=sum(map(len, groups)) - len(set().union(*groups)),
        seen_tensors=sum(_digest(image) in seen for image in held_out),
        near=dataset.near,
        notes=dataset.notes,
        grouped_by=dataset.grouped_by,
    )


def _digest(image: npt.NDArray[np.float32]) -> bytes:
    return hashlib.sha256(np.ascontiguousarray(image).data).digest()
