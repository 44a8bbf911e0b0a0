"""What a leaking split is worth: one network fitted twice, on the original program's split and on one by patient.

The programs of systems 1 to 4 deal *files* at random, and in systems 1 to 3 the files are turned and mirrored
copies of far fewer images. Both fits here see the same files, in the same numbers and with the same plan;
only the dealing differs.
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
"""Figures in the table beside those that the authors claim."""

_FOLDER = Path(__file__).parent / "leaks"


@dataclass(frozen=True)
class LeakRow:
    """One of the two fits.

    Attributes:
        split: :data:`AS_PUBLISHED` or :data:`BY_GROUP`.
        train_images, test_images: files, copies counted.
        shared_groups: patients whose files are both fitted on and tested on.
        epochs: that were fitted.
        figures: on the test files, with intervals by bootstrap over patients.
    """

    split: str
    train_images: int
    test_images: int
    shared_groups: int
    epochs: int
    figures: tuple[Figure, ...]


@dataclass(frozen=True)
class LeakTable:
    """Both fits beside the published claim.

    Attributes:
        copies: what was made of each image before the split.
        note: how this departs from the original program.
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
    """Return the table that this project measured for a recipe, or None if it measured none."""
    path = _FOLDER / f"{recipe}.json"
    return from_json(LeakTable, path.read_text(encoding="utf-8"), str(path)) if path.is_file() else None


def measure_leak(recipe: Recipe, data: Path, out: Path, command: str, epochs: int | None = None) -> LeakTable:
    """Fit ``recipe`` on both splits and write ``leak.json`` and both histories into the new folder ``out``.

    Args:
        command: what to write into the table as its origin.
        epochs: fewer than the plan's, for a trial.

    Raises:
        RecipeError: the recipe does not say what its program splits.
        ArtifactError: ``out`` already holds files.
        DatasetError: the data are not what the layout promises.
    """
    copies = recipe.copies
    if copies is None:
        raise RecipeError(f"{recipe.spec.name}: does not say what its program splits, so there is no leak to measure.")
    create(out)
    tensors = load_tensors(recipe.source.load(data).samples, recipe.spec, label="all")
    if recipe.plan.balance:  # before the split, as the programs do it
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
    from training.fitting.fit import train_network  # here, so that reading a table starts no framework
    from training.networks.keras_model import logits_model

    history = out / ("history-published.csv" if name == AS_PUBLISHED else "history-by-group.csv")
    plain = replace(
        recipe,
        plan=paced(replace(recipe.plan, balance=False), copies),
        augmentation=recipe.augmentation if copies.count == 1 else None,  # the copies stand for it
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
    """Return the plan with the patience of epochs as long as the original's: fewer copies make shorter ones."""
    times = max(1, copies.of // copies.count)
    if plan.stop_patience is None or times == 1:
        return plan
    return replace(plan, stop_patience=plan.stop_patience * times)


def _figures(network: keras.Model, test: Tensors, recipe: Recipe) -> tuple[Figure, ...]:
    from training.metrics.evaluation import evaluate_scores

    evaluation = evaluate_scores(network.predict(test.images, verbose=0), test, recipe.spec, "test")
    wanted = {*KEPT, *(claim.name for claim in recipe.claims)}
    return tuple(figure for figure in evaluation.figures if figure.name in wanted)
