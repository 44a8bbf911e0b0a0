"""Effect of neighbour averaging in slide mode, measured on the out-of-fold predictions of a cross-validation.

The average is the device's own (:mod:`edge_runtime.tiling.smoothing`). One network predicts all patches of a patient
and was not trained on that patient, so their logits are on one scale. Patients with complete slides are measured apart
from the rest: the average of a patch without neighbours is the patch's own logits.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from edge_runtime.bundle.metrics import Figure
from edge_runtime.bundle.spec import ModelSpec
from edge_runtime.decision.scores import positive_scores
from edge_runtime.serialisation.records import from_json
from edge_runtime.tiling.smoothing import averaged
from training.data.datasets import idc
from training.errors import ArtifactError
from training.experiments.cross_validation_folder import CrossPlan
from training.experiments.predictions import HeldOutPrediction, read_predictions
from training.metrics.binary import auroc, positive_truth, rates
from training.metrics.evaluation import bootstrap
from training.recipes import find_recipe

Floats = npt.NDArray[np.float64]

WEIGHTS = (0.0, 0.1, 0.25, 0.5, 1.0)
COMPLETE_SHARE, COMPLETE_NEIGHBOURS = 0.5, 4
"""A slide is complete if at least this share of its patches has at least this number of neighbours, of eight."""


@dataclass(frozen=True)
class WeightedFigures:
    """Figures at one neighbour weight; gains over weight 0 are paired, and absent at weight 0."""

    weight: float
    figures: tuple[Figure, ...]


@dataclass(frozen=True)
class SlideKind:
    """Figures of one kind of patients at each weight of :data:`WEIGHTS`.

    Attributes:
        name: name of the kind for display: ``complete slides`` or ``the rest``.
    """

    name: str
    patients: int
    patches: int
    positives: int
    rows: tuple[WeightedFigures, ...]


@dataclass(frozen=True, eq=False)
class _Slide:
    """One patient: label names, logits at each weight (weights×N×outputs), and whether the slide is complete."""

    group: str
    labels: tuple[str, ...]
    logits: Floats
    complete: bool


def measure_neighbours(folder: Path) -> tuple[SlideKind, ...]:
    """Measure each weight on the predictions that a cross-validation of 50 px patches wrote into ``folder``.

    Returns:
        Figures of complete slides and of the rest; a kind without patients is left out.

    Raises:
        ArtifactError: ``folder`` holds no cross-validation, a name has no position, or two patches share a position.
        RecipeError: this release has no such recipe.
    """
    plan = folder / "plan.json"
    if not plan.is_file():
        raise ArtifactError(f"{plan}: missing, expected a folder that `python -m training crossvalidate` wrote.")
    spec = find_recipe(from_json(CrossPlan, plan.read_text(encoding="utf-8"), str(plan)).recipe).spec
    by_patient: dict[str, list[HeldOutPrediction]] = {}
    for prediction in read_predictions(folder / "predictions.csv"):
        by_patient.setdefault(prediction.group, []).append(prediction)
    slides = [_slide(group, found) for group, found in sorted(by_patient.items())]
    kinds = (("complete slides", True), ("the rest", False))
    sorted_out = ((name, [s for s in slides if s.complete is complete]) for name, complete in kinds)
    return tuple(_kind(name, chosen, spec) for name, chosen in sorted_out if chosen)


def _slide(group: str, found: Sequence[HeldOutPrediction]) -> _Slide:
    cells = _cells(found)
    shape = cells.max(axis=0) + 1
    logits, present = np.zeros((*shape, len(found[0].logits))), np.zeros(shape, np.bool_)
    at = tuple(cells.T)
    logits[at], present[at] = [prediction.logits for prediction in found], True
    weighed = np.stack([averaged(logits, present, weight)[at] for weight in WEIGHTS])
    there = np.pad(present, 1)
    count = np.array([there[row : row + 3, column : column + 3].sum() - 1 for row, column in cells])
    complete = float((count >= COMPLETE_NEIGHBOURS).mean()) >= COMPLETE_SHARE
    return _Slide(group, tuple(prediction.label for prediction in found), weighed, complete)


def _cells(found: Sequence[HeldOutPrediction]) -> npt.NDArray[np.intp]:
    """Return row and column of each patch of one patient, integer N×2, both counted from 0."""
    corners = np.array([_corner(prediction.name) for prediction in found], dtype=np.intp)
    cells, offset = np.divmod(corners - corners.min(axis=0), idc.PATCH_PX)
    if offset.any() or len(np.unique(cells, axis=0)) != len(found):
        raise ArtifactError(
            f"patient {found[0].group}: found patches off the grid of {idc.PATCH_PX} px, or two at one position; "
            "expected one patch per position. Cross-validate a recipe of the published IDC patches."
        )
    return np.asarray(cells, dtype=np.intp)


def _corner(name: str) -> tuple[int, int]:
    place = idc.place_of(name)
    if place is None:
        raise ArtifactError(f"{name}: expected a position, …_x<X>_y<Y>_…, in the name. Cross-validate IDC patches.")
    return place[1], place[0]


def _kind(name: str, slides: Sequence[_Slide], spec: ModelSpec) -> SlideKind:
    labels = [spec.labels.index(label) for slide in slides for label in slide.labels]
    truth = positive_truth(np.array(labels, dtype=np.int64), spec)
    groups = np.array([slide.group for slide in slides for _ in slide.labels])
    logits = np.concatenate([slide.logits for slide in slides], axis=1)
    scores = [positive_scores(of_weight, spec) for of_weight in logits]
    rows = tuple(
        WeightedFigures(weight, tuple(_figures(truth, score, scores[0], weight > 0, spec.policy.cutoff, groups)))
        for weight, score in zip(WEIGHTS, scores, strict=True)
    )
    return SlideKind(name, len(slides), len(truth), int(truth.sum()), rows)


def _figures(
    truth: npt.NDArray[np.bool_],
    score: Floats,
    alone: Floats,
    paired: bool,
    cutoff: float,
    groups: npt.NDArray[np.str_],
) -> Iterable[Figure]:
    def of(values: Floats, rows: npt.NDArray[np.intp]) -> tuple[float, float]:
        shares = rates(truth[rows], values[rows] >= cutoff)
        return auroc(truth[rows], values[rows]), shares["balanced accuracy"]

    def measure(rows: npt.NDArray[np.intp]) -> dict[str, float]:
        found = of(score, rows)
        named = {"auroc": found[0], "balanced accuracy": found[1]}
        if not paired:
            return named
        before = of(alone, rows)
        return named | {"auroc gained": found[0] - before[0], "balanced accuracy gained": found[1] - before[1]}

    return bootstrap(measure, groups)
