"""The folder of a cross-validation: its plan, predictions and figures.

plan.json            settings that a resumed run must share with the first run
fold-<n>/            history.csv and predictions.csv of each fold; predictions.csv is written last. If a trait is left
                     out, validation.csv holds the predictions for the fold's validation images
predictions.csv      all folds' predictions
metrics.json         :class:`CrossMeasured`
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path

from edge_runtime.bundle.manifest import Evaluation
from edge_runtime.bundle.metrics import SiteFigures
from edge_runtime.bundle.spec import ModelSpec
from edge_runtime.serialisation.records import ABSENT, canonical_json, from_json, write_record
from training.artifact import create
from training.data.datasets import Dataset
from training.errors import ArtifactError
from training.experiments.cross_validated_calibration import CrossFitted


@dataclass(frozen=True)
class CrossPlan:
    """Settings of a cross-validation; a run is resumed only with the same plan.

    Attributes:
        seed: seed that assigns groups to folds; the networks use the recipe's own seed.
        epochs: maximum number of epochs per fold.
        weights: pretrained backbone of a transfer recipe.
        inputs: SHA-256 of the spec, and of each image's name, group and label, and value of a trait that is left out.
        trait: trait of which each fold leaves out one value; None for folds by group.
        values: the values that are left out, in the order of the folds; None for folds by group.
    """

    recipe: str
    folds: int
    seed: int
    epochs: int
    weights: str | None
    inputs: str
    trait: str | None = field(default=None, metadata=ABSENT)
    values: tuple[str, ...] | None = field(default=None, metadata=ABSENT)


@dataclass(frozen=True)
class CrossMeasured:
    """Contents of ``metrics.json``.

    Attributes:
        dataset, notes: summary of the data, and notes on them.
        contradicted: number of images with contradictory labels: not used for training or validation, but tested.
        refused: number of images that the runtime rejects; they have no prediction.
        epochs: number of epochs fitted, per fold.
        evaluations: figures of the network, with the paired gain over the baseline; then figures of the baseline.
        tempered: calibration of the network at temperatures from other folds.
        sites: figures of each value that was left out; None for folds by group.
    """

    plan: CrossPlan
    dataset: str
    notes: tuple[str, ...]
    contradicted: int
    refused: int
    epochs: tuple[int, ...]
    evaluations: tuple[Evaluation, ...]
    tempered: CrossFitted
    sites: tuple[SiteFigures, ...] | None = field(default=None, metadata=ABSENT)


def open_folder(out: Path, plan: CrossPlan, *, resume: bool) -> CrossMeasured | None:
    """Create ``out`` with its plan, or check that its plan is the same; return figures that exist already, or None.

    Raises:
        ArtifactError: ``out`` holds files and ``resume`` is False, or the files belong to another plan.
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
            "Resume with the same options and data, or give another --out."
        )
    return from_json(CrossMeasured, metrics.read_bytes(), str(metrics)) if metrics.is_file() else None


def write_measured(out: Path, measured: CrossMeasured) -> None:
    """Write ``metrics.json`` atomically."""
    write_record(out / "metrics.json", measured)


def digest(spec: ModelSpec, dataset: Dataset, more: Sequence[str] = ()) -> str:
    """Return the SHA-256 (hexadecimal) of everything but the pixels that determines folds and predictions.

    The version is not part of it: a new policy or out-of-distribution check of the same networks is a new version.

    Args:
        more: further lines that determine the folds.
    """
    lines = [f"{s.name},{s.group},{dataset.labels[s.label]},{s.name in dataset.contradicted}" for s in dataset.samples]
    stated = canonical_json(replace(spec, version="0.0.0"))
    return hashlib.sha256("\n".join([stated, *lines, *more]).encode()).hexdigest()
