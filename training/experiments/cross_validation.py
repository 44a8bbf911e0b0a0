"""Cross-validation by group, with pooled predictions.

Every group is tested once, by a network that was not trained on it. One split of a small set tests few groups, and its
figures depend on the choice of groups. Here each fold's network predicts its own test groups only. The predictions are
pooled, and the interval is by bootstrap over all groups. The figures describe the *recipe*, not one network. Logits of
different folds are not on one scale: the pooled area under the curve is, if anything, too low (Parker, Günter & Bedo
2007, BMC Bioinformatics 8:326).

For a distilled recipe, each fold first fits one teacher by every recipe that the student names, on the same training
groups. No teacher sees a group that the fold tests.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import keras
import numpy as np
import numpy.typing as npt

from edge_runtime.bundle.manifest import Evaluation, TeacherModel
from edge_runtime.bundle.spec import ModelSpec
from training.data.datasets import Dataset
from training.data.splits import Part, Split, folds_by_group
from training.data.tensors import Tensors, load_tensors
from training.errors import ArtifactError, DatasetError
from training.evaluation.measure import beside
from training.experiments.cross_validated_calibration import cross_fit
from training.experiments.cross_validation_folder import CrossMeasured, CrossPlan, digest, open_folder, write_measured
from training.experiments.predictions import HeldOutPrediction, read_predictions, write_predictions
from training.fitting.fit import train_network
from training.fitting.teachers import LoadedTeacher, TeacherEnsemble
from training.metrics.binary import positive_truth
from training.metrics.evaluation import baseline_scores
from training.networks.keras_model import logits_model
from training.recipes import find_recipe
from training.recipes.recipe import Recipe

Say = Callable[[str], None]


def crossvalidate(
    recipe: Recipe,
    data: Path,
    out: Path,
    *,
    folds: int = 5,
    epochs: int | None = None,
    seed: int | None = None,
    weights: str | None = None,
    resume: bool = False,
    say: Say = lambda line: None,
) -> CrossMeasured:
    """Fit ``folds`` networks on the data below ``data``, measure their pooled predictions and write all to ``out``.

    Args:
        epochs: number of epochs instead of the recipe's, for a trial.
        seed: seed that assigns groups to folds; by default the seed of the recipe's split.
        weights: file of the pretrained backbone, for a transfer recipe.
        resume: continue in ``out``; folds that already have predictions are not fitted again.
        say: called with each line of progress.

    Raises:
        RecipeError: ``weights`` is given for a recipe that takes none.
        DatasetError: the data do not match the published layout, or are too few for this number of folds.
        ArtifactError: ``out`` holds files and ``resume`` is False, or the files belong to another plan.
    """
    recipe.check_weights(weights)
    dataset = recipe.source.load(data)
    for line in (dataset.summary(), *dataset.notes):
        say(line)
    plan = CrossPlan(
        recipe.spec.name,
        folds,
        recipe.split.seed if seed is None else seed,
        epochs or recipe.plan.epochs,
        weights,
        digest(recipe.spec, dataset),
    )
    splits = folds_by_group(dataset.samples, folds, plan.seed)
    measured = open_folder(out, plan, resume=resume)
    if measured is not None:
        say(f"{out}: all {folds} folds are already measured")
        return measured
    return _run(recipe, dataset, splits, plan, out, say)


def _run(
    recipe: Recipe, dataset: Dataset, splits: tuple[dict[str, Part], ...], plan: CrossPlan, out: Path, say: Say
) -> CrossMeasured:
    tensors = load_tensors(dataset.samples, recipe.spec, label="all")
    teachers = [find_recipe(name) for name in recipe.teacher.recipes] if recipe.teacher else []
    shown = [load_tensors(dataset.samples, teacher.spec, label=f"all for {teacher.spec.name}") for teacher in teachers]
    predictions: list[HeldOutPrediction] = []
    epochs: list[int] = []
    for turn, split in enumerate(splits, start=1):
        folder = out / f"fold-{turn}"
        if (folder / "predictions.csv").is_file():
            say(f"fold {turn} of {plan.folds}: already fitted")
        else:
            parts = parts_of(tensors, split, dataset.contradicted)
            say(f"fold {turn} of {plan.folds}: {_counts(parts)}")
            folder.mkdir(exist_ok=True)
            keras.utils.clear_session()  # earlier folds are read from their files
            taught = [
                _fit_teacher(teacher, parts_of(images, split, dataset.contradicted), recipe, plan, folder)
                for teacher, images in zip(teachers, shown, strict=True)
            ]
            write_predictions(folder / "predictions.csv", _fit_fold(recipe, parts, plan, turn, folder, taught))
        predictions += read_predictions(folder / "predictions.csv")
        epochs.append(len((folder / "history.csv").read_text(encoding="utf-8").splitlines()) - 1)
    write_predictions(out / "predictions.csv", sorted(predictions, key=lambda p: p.name))
    measured = CrossMeasured(
        plan,
        dataset.summary(),
        dataset.notes,
        len(dataset.contradicted),
        len(tensors.refused),
        tuple(epochs),
        pooled(predictions, tensors, recipe.spec, f"{plan.folds} folds"),
        cross_fit(predictions, recipe.spec),
    )
    write_measured(out, measured)
    return measured


def parts_of(tensors: Tensors, split: Split, contradicted: frozenset[str]) -> dict[Part, Tensors]:
    """Return the tensors of each part; images named in ``contradicted`` are used for test only.

    Raises:
        DatasetError: a part has no image left.
    """
    rows: dict[Part, list[int]] = {part: [] for part in Part}
    for row, sample in enumerate(tensors.samples):
        part = split[sample.group]
        if part is Part.TEST or sample.name not in contradicted:
            rows[part].append(row)
    empty = [part.value for part, found in rows.items() if not found]
    if empty:
        raise DatasetError(f"found no image for {', '.join(empty)} in one fold. Add patients or use fewer folds.")
    return {part: tensors.take(np.array(found, dtype=np.int64)) for part, found in rows.items()}


def _fit_teacher(
    teacher: Recipe, parts: dict[Part, Tensors], student: Recipe, plan: CrossPlan, folder: Path
) -> LoadedTeacher:
    """Fit a teacher of one fold: for all its epochs, or for as many as the student where that is a trial."""
    name = teacher.spec.name
    weights = plan.weights if teacher.transfer else None
    model = train_network(
        teacher,
        parts[Part.TRAIN],
        parts[Part.VALIDATION],
        epochs=teacher.plan.epochs if plan.epochs == student.plan.epochs else plan.epochs,
        history=folder / f"history-{name}.csv",
        weights=weights,
    )
    return LoadedTeacher(teacher.spec, logits_model(model), TeacherModel(name, teacher.spec.version, "not saved"))


def _fit_fold(
    recipe: Recipe,
    parts: dict[Part, Tensors],
    plan: CrossPlan,
    turn: int,
    folder: Path,
    teachers: Sequence[LoadedTeacher],
) -> tuple[HeldOutPrediction, ...]:
    """Fit one fold and return predictions for its test images."""
    train, test = parts[Part.TRAIN], parts[Part.TEST]
    truth = positive_truth(train.labels, recipe.spec)
    if truth.all() or not truth.any():
        raise DatasetError(
            f"fold {turn}: found {int(truth.sum())} positive among {len(truth)} training images, expected both "
            "kinds. Add patients or give another --seed."
        )
    taught = TeacherEnsemble(teachers, recipe.spec, recipe.teacher.temperature) if recipe.teacher else None
    model = train_network(
        recipe,
        train,
        parts[Part.VALIDATION],
        epochs=plan.epochs,
        history=folder / "history.csv",
        weights=plan.weights,
        teachers=taught,
    )
    logits = logits_model(model).predict(test.images, verbose=0)
    baseline = baseline_scores(train, test, recipe.spec)
    return tuple(
        HeldOutPrediction(s.name, s.group, recipe.spec.labels[s.label], turn, float(b), tuple(float(z) for z in row))
        for s, b, row in zip(test.samples, baseline, logits, strict=True)
    )


def pooled(
    predictions: list[HeldOutPrediction], tensors: Tensors, spec: ModelSpec, part: str
) -> tuple[Evaluation, Evaluation]:
    """Measure the pooled predictions of all folds; return the network's figures with paired gain, and the baseline's.

    Raises:
        ArtifactError: the predictions do not match the images of ``tensors`` one to one, group and label included.
    """
    answers = {p.name: p for p in predictions}
    expected = {(s.name, s.group, spec.labels[s.label]) for s in tensors.samples}
    if len(predictions) != len(answers) or {(p.name, p.group, p.label) for p in predictions} != expected:
        raise ArtifactError(
            f"found {len(predictions)} predictions of {len(answers)} images, expected one for each of the "
            f"{len(expected)} images of the data. The data changed since these folds were fitted: give another --out."
        )
    ordered = [answers[sample.name] for sample in tensors.samples]
    logits: npt.NDArray[np.float64] = np.array([p.logits for p in ordered], dtype=np.float64)
    baseline = np.array([p.baseline for p in ordered], dtype=np.float64)
    return beside(baseline, logits, tensors, spec, part)


def _counts(parts: dict[Part, Tensors]) -> str:
    return ", ".join(f"{p.value} {len(t.labels)} images of {len(set(t.groups))} groups" for p, t in parts.items())
