"""Figures of a finished cross-validation, for a model of the same recipe that has no test part of its own."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from edge_runtime.bundle.spec import ModelSpec
from edge_runtime.serialisation.records import from_json
from training.data.datasets import Dataset
from training.data.tensors import Tensors
from training.errors import ArtifactError
from training.evaluation.decide import CrossValidatedFigures
from training.experiments.cross_validation import pooled
from training.experiments.cross_validation_folder import CrossMeasured, digest
from training.experiments.predictions import read_predictions
from training.metrics.evaluation import CROSS_VALIDATION
from training.metrics.scored import Scored
from training.metrics.subgroups import with_subgroups
from training.recipes.recipe import Recipe


def cross_validated_figures(folder: Path, recipe: Recipe, spec: ModelSpec, dataset: Dataset) -> CrossValidatedFigures:
    """Measure the predictions in ``folder``, which ``crossvalidate`` wrote, under the policy of ``spec``.

    Args:
        recipe: the recipe that was cross-validated.
        spec: the recipe's spec with a fitted policy. Temperature and thresholds were fitted on another network.

    Raises:
        ArtifactError: the cross-validation is not finished, or is of another recipe, preprocessing or data set.
    """
    path = folder / "metrics.json"
    if not path.is_file():
        raise ArtifactError(
            f"{path}: missing, expected a finished cross-validation. Finish it with: python -m training crossvalidate "
            f"{recipe.spec.name} --data DIR --out {folder} --resume"
        )
    measured = from_json(CrossMeasured, path.read_bytes(), str(path))
    same = spec.contract == recipe.spec.contract and spec.labels == recipe.spec.labels
    if not same or measured.plan.recipe != spec.name or measured.plan.inputs != digest(recipe.spec, dataset):
        raise ArtifactError(
            f"{folder}: found a cross-validation of {measured.plan.recipe} on other images, labels or preprocessing, "
            f"expected one of {spec.name} {recipe.spec.version} on these data. Cross-validate the recipe again."
        )
    predictions = list(read_predictions(folder / "predictions.csv"))
    tensors = _labelled(dataset, {p.name for p in predictions})
    network, baseline = pooled(predictions, tensors, spec, CROSS_VALIDATION)
    logits = {p.name: p.logits for p in predictions}
    ordered = np.array([logits[sample.name] for sample in tensors.samples])
    scored = Scored.of_logits(ordered, tensors.labels, tensors.groups, spec)
    network = with_subgroups(network, scored, tensors.samples, dataset.traits, spec)
    return CrossValidatedFigures(measured.plan.folds, (network, baseline))


def _labelled(dataset: Dataset, names: set[str]) -> Tensors:
    """Return the samples called ``names`` with labels and groups, without their pixels."""
    samples = tuple(sample for sample in dataset.samples if sample.name in names)
    return Tensors(
        np.zeros((len(samples), 0, 0, 0), dtype=np.float32),
        np.array([sample.label for sample in samples], dtype=np.int64),
        np.array([sample.group for sample in samples]),
        np.zeros((len(samples), 6)),
        samples,
        (),
    )
