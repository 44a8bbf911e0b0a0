"""Figures of sites or scanners that were left out, from the folder of ``crossvalidate --leave-out``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from edge_runtime.bundle.spec import ModelSpec
from edge_runtime.serialisation.records import from_json
from training.errors import ArtifactError, DatasetError
from training.experiments.cross_validation_folder import CrossPlan
from training.experiments.predictions import HeldOutPrediction, read_predictions
from training.metrics.classwise import ClassOutcomes
from training.metrics.sites import NeverSeen
from training.policy.policy import PolicyTarget, fit_policy


def read_never_seen(folder: Path, spec: ModelSpec, target: PolicyTarget) -> tuple[NeverSeen, ...]:
    """Read the predictions of every fold, and fit each fold's policy on its own validation patients.

    Args:
        folder: the ``--out`` of a finished ``crossvalidate --leave-out``.
        spec: the model's spec; its policy is the start of each fit.
        target: how the cut-off is chosen; only ``sensitivity`` and ``youden`` are used.

    Raises:
        ArtifactError: the folder is not that of a finished run with this recipe that leaves out a trait.
    """
    plan = _plan(folder, spec)
    spec = replace(spec, policy=replace(spec.policy, case=None))
    folds = []
    for turn, value in enumerate(plan.values or (), start=1):
        tested = read_predictions(folder / f"fold-{turn}" / "predictions.csv")
        validated = read_predictions(folder / f"fold-{turn}" / "validation.csv")
        validation, outcome = _outcome(validated, spec, folder), _outcome(tested, spec, folder)
        policy, cutoff = spec.policy, None
        try:
            policy = fit_policy(validation, PolicyTarget(target.sensitivity, target.youden)).policy
            cutoff = policy.cutoff
        except DatasetError:  # one class only, or no cut-off better than chance: the figures then have none
            pass
        names = tuple(prediction.name for prediction in tested)
        folds.append(NeverSeen(plan.trait or "", value, outcome.under(policy), names, cutoff))
    return tuple(folds)


def _plan(folder: Path, spec: ModelSpec) -> CrossPlan:
    path = folder / "plan.json"
    made = "Make one with: python -m training crossvalidate RECIPE --data DIR --out DIR --leave-out site"
    if not path.is_file() or not (folder / "predictions.csv").is_file():
        raise ArtifactError(
            f"{folder}: found no finished cross-validation, expected plan.json, predictions.csv. {made}"
        )
    plan = from_json(CrossPlan, path.read_bytes(), str(path))
    if plan.trait is None or not plan.values:
        raise ArtifactError(f"{path}: found folds by group, expected folds that leave out a trait. {made}")
    if plan.recipe != spec.name:
        raise ArtifactError(f"{path}: found the recipe {plan.recipe}, expected {spec.name}. {made}")
    return plan


def _outcome(predictions: Sequence[HeldOutPrediction], spec: ModelSpec, folder: Path) -> ClassOutcomes:
    try:
        labels = np.array([spec.labels.index(p.label) for p in predictions], dtype=np.int64)
        logits = np.array([p.logits for p in predictions], dtype=np.float64)
        return ClassOutcomes.of(logits, labels, np.array([p.group for p in predictions]), spec)
    except ValueError as error:
        raise ArtifactError(
            f"{folder}: found predictions that are not of {spec.name}: {error} Cross-validate the recipe again."
        ) from None
