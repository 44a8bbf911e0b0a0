"""Effect of a leaking split: one network is fitted on the original program's split and on a split by patient.

The programs of systems 1 to 4 split *files* at random. In systems 1 to 3 the files are rotated and mirrored copies of
far fewer images. Both fits here use the same files, the same counts and the same plan; only the split differs.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from edge_runtime.bundle.manifest import Figure
from edge_runtime.serialisation.records import from_json, write_record
from training.artifact import create
from training.data.splits import Part
from training.data.tensors import Tensors, balanced_index, load_tensors
from training.errors import RecipeError
from training.experiments.copies import Files, copied, dealt_files, dealt_groups
from training.recipes.recipe import Copies, Recipe, TrainingPlan
from training.versions import versions

if TYPE_CHECKING:
    import keras

AS_PUBLISHED = "files dealt at random, as published"
BY_GROUP = "by patient"
KEPT = ("accuracy", "balanced accuracy", "auroc")
"""Figures in the table, in addition to those that the authors claim."""

_FOLDER = Path(__file__).parent / "leaks"


@dataclass(frozen=True)
class LeakRow:
    """One of the two fits.

    Attributes:
        split: :data:`AS_PUBLISHED` or :data:`BY_GROUP`.
        train_images, test_images: number of files, copies included.
        shared_groups: number of patients with files in both training and test.
        epochs: number of epochs fitted.
        figures: figures on the test files, with intervals by bootstrap over patients.
    """

    split: str
    train_images: int
    test_images: int
    shared_groups: int
    epochs: int
    figures: tuple[Figure, ...]


@dataclass(frozen=True)
class LeakTable:
    """Both fits and the published claim.

    Attributes:
        copies: description of the copies made of each image before the split.
        note: difference from the original program.
        command: the command that made the table.
    """

    recipe: str
    claims: tuple[Figure, ...]
    copies: str
    rows: tuple[LeakRow, ...]
    note: str
    command: str
    versions: dict[str, str]


def find_leak(recipe: str) -> LeakTable | None:
    """Return the table that this project measured for a recipe; None if there is none."""
    path = _FOLDER / f"{recipe}.json"
    return from_json(LeakTable, path.read_text(encoding="utf-8"), str(path)) if path.is_file() else None


def measure_leak(recipe: Recipe, data: Path, out: Path, command: str, epochs: int | None = None) -> LeakTable:
    """Fit ``recipe`` on both splits, and write ``leak.json`` and both histories to the new folder ``out``.

    Args:
        command: the command line to record in the table.
        epochs: number of epochs instead of the plan's, for a trial.

    Raises:
        RecipeError: the recipe does not define which files its program splits.
        ArtifactError: ``out`` already holds files.
        DatasetError: the data do not match the published layout.
    """
    copies = recipe.copies
    if copies is None:
        raise RecipeError(
            f"{recipe.spec.name}: does not define which files its program splits, so there is no leak to measure."
        )
    create(out)
    tensors = load_tensors(recipe.source.load(data).samples, recipe.spec, label="all")
    if recipe.plan.balance:  # before the split, as in the original programs
        tensors = tensors.take(balanced_index(tensors.labels, recipe.plan.seed))
    dealt = {
        AS_PUBLISHED: dealt_files(len(tensors.labels), copies.count, recipe.split),
        BY_GROUP: dealt_groups(tensors, copies.count, recipe.split),
    }
    rows = tuple(_fit_one(recipe, tensors, copies, name, parts, out, epochs) for name, parts in dealt.items())
    table = LeakTable(
        recipe=recipe.spec.name,
        claims=tuple(Figure(claim.name, claim.value) for claim in recipe.claims),
        copies=copies.text(),
        rows=rows,
        note=copies.note,
        command=command,
        versions=versions(("keras", "tensorflow", "numpy", "opencv-python-headless")),
    )
    write_record(out / "leak.json", table)
    return table


def _fit_one(
    recipe: Recipe,
    tensors: Tensors,
    copies: Copies,
    name: str,
    parts: dict[Part, Files],
    out: Path,
    epochs: int | None,
) -> LeakRow:
    from training.fitting.fit import train_network  # here, so that reading a table imports no framework
    from training.networks.keras_model import logits_model

    history = out / ("history-published.csv" if name == AS_PUBLISHED else "history-by-group.csv")
    plain = replace(
        recipe,
        plan=paced(replace(recipe.plan, balance=False), copies),
        augmentation=recipe.augmentation if copies.count == 1 else None,  # the copies replace it
    )
    train, validation = (copied(tensors, copies, parts[part]) for part in (Part.TRAIN, Part.VALIDATION))
    model = train_network(plain, train, validation, epochs=epochs or recipe.plan.epochs, history=history)
    test = copied(tensors, copies, parts[Part.TEST])
    return LeakRow(
        split=name,
        train_images=len(train.labels),
        test_images=len(test.labels),
        shared_groups=len(set(train.groups) & set(test.groups)),
        epochs=len(history.read_text(encoding="utf-8").splitlines()) - 1,
        figures=_figures(logits_model(model), test, recipe),
    )


def paced(plan: TrainingPlan, copies: Copies) -> TrainingPlan:
    """Return the plan with its patience scaled to the original's epochs: fewer copies make shorter epochs."""
    times = max(1, copies.of // copies.count)
    if plan.stop_patience is None or times == 1:
        return plan
    return replace(plan, stop_patience=plan.stop_patience * times)


def _figures(network: keras.Model, test: Tensors, recipe: Recipe) -> tuple[Figure, ...]:
    from training.metrics.evaluation import evaluate_scores

    evaluation = evaluate_scores(network.predict(test.images, verbose=0), test, recipe.spec, "test")
    names = {*KEPT, *(claim.name for claim in recipe.claims)}
    return tuple(figure for figure in evaluation.figures if figure.name in names)
