"""The folder of a cross-validation: its plan, and what was measured.

plan.json            what a resumed run must share with the first
fold-<n>/            history.csv and, last, predictions.csv of each fold
predictions.csv      all folds' predictions
metrics.json         :class:`CrossMeasured`
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, fields
from pathlib import Path

from edge_runtime.bundle.manifest import Evaluation
from edge_runtime.bundle.spec import ModelSpec
from edge_runtime.serialisation.records import canonical_json, from_json, write_record
from training.artifact import create
from training.data.datasets import Dataset
from training.errors import ArtifactError
from training.experiments.cross_validated_calibration import CrossFitted


@dataclass(frozen=True)
class CrossPlan:
    """What is asked for; a run is resumed under the same plan alone.

    Attributes:
        seed: deals the groups; the networks start from the recipe's own.
        epochs: at most, a fold.
        weights: pretrained backbone of a transfer recipe.
        inputs: SHA-256 of the spec, and of each image's name, group and label.
    """

    recipe: str
    folds: int
    seed: int
    epochs: int
    weights: str | None
    inputs: str


@dataclass(frozen=True)
class CrossMeasured:
    """What ``metrics.json`` holds.

    Attributes:
        dataset, notes: summary of the data and what to know of them.
        contradicted: images of contradictory labels, left out of training and validation and kept in the figures.
        refused: images that the runtime refuses; nobody was asked about them.
        epochs: that were fitted, a fold.
        evaluations: of the network, with the paired gain over the baseline; of the baseline.
        tempered: the network's confidences at temperatures from other folds.
    """

    plan: CrossPlan
    dataset: str
    notes: tuple[str, ...]
    contradicted: int
    refused: int
    epochs: tuple[int, ...]
    evaluations: tuple[Evaluation, ...]
    tempered: CrossFitted


def open_folder(out: Path, plan: CrossPlan, *, resume: bool) -> CrossMeasured | None:
    """Make ``out`` with its plan, or go on in one of the same plan; return what is measured already.

    Raises:
        ArtifactError: ``out`` holds files and ``resume`` is not given, or they are of another plan.
    """
    path, metrics = out / "plan.json", out / "metrics.json"
    if not (resume and path.is_file()):
        create(out)
        write_record(path, plan)
        return None
    found = from_json(CrossPlan, path.read_bytes(), str(path))
    other = [
        f"{f.name} {getattr(found, f.name)!r}" for f in fields(plan) if getattr(found, f.name) != getattr(plan, f.name)
    ]
    if other:
        raise ArtifactError(
            f"{path}: found {', '.join(other)}, expected {plan} (inputs are the spec and the images). "
            "Resume with what the folds were fitted with, or give another --out."
        )
    return from_json(CrossMeasured, metrics.read_bytes(), str(metrics)) if metrics.is_file() else None


def write_measured(out: Path, measured: CrossMeasured) -> None:
    """Write ``metrics.json``, whole or not at all."""
    write_record(out / "metrics.json", measured)


def digest(spec: ModelSpec, dataset: Dataset) -> str:
    """Return the SHA-256 of what decides the folds and the answers, but for the pixels; hexadecimal."""
    lines = [f"{s.name},{s.group},{dataset.labels[s.label]},{s.name in dataset.contradicted}" for s in dataset.samples]
    return hashlib.sha256("\n".join([canonical_json(spec), *lines]).encode()).hexdigest()
