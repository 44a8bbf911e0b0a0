"""Cross-validation by group, with pooled predictions.

Every group is tested once, by a network that was not trained on it. One split of a small set tests few groups, and its
figures depend on the choice of groups. Here each fold's network predicts its own test groups only. The predictions are
pooled, and the interval is by bootstrap over all groups. The figures describe the *recipe*, not one network. Logits of
different folds are not on one scale: the pooled area under the curve is, if anything, too low (Parker, Günter & Bedo
2007, BMC Bioinformatics 8:326).

A fold can also leave out one value of a trait, such as a site: its network is fitted without any image of the value and
tested on all of them.

For a distilled recipe, each fold first fits one teacher by every recipe that the student names, on the same training
groups. No teacher sees a group that the fold tests.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import numpy.typing as npt

from edge_runtime.bundle.manifest import Evaluation, TeacherModel
from edge_runtime.bundle.spec import ModelSpec
from training.data.datasets import Dataset, Traits
from training.data.splits import LeftOut, Part, Split, folds_by_group
from training.data.splits import leave_out as leave_one_out
from training.data.tensors import Tensors, load_tensors
from training.errors import ArtifactError, DatasetError
from training.evaluation.measure import beside
from training.experiments.cross_validated_calibration import cross_fit
from training.experiments.cross_validation_folder import CrossMeasured, CrossPlan, digest, open_folder, write_measured
from training.experiments.never_seen import read_never_seen
from training.experiments.predictions import HeldOutPrediction, read_predictions, write_predictions
from training.fitting.fit import train_network
from training.fitting.teachers import LoadedTeacher, TeacherEnsemble
from training.metrics.binary import positive_truth
from training.metrics.evaluation import baseline_scores
from training.metrics.sites import never_seen_figures
from training.networks.keras_model import logits_model
from training.policy.policy import PolicyTarget
from training.recipes import find_recipe
from training.recipes.recipe import Recipe

Say = Callable[[str], None]
YOUDEN = PolicyTarget(youden=True)
"""The rule of the cut-offs in the figures of values that were left out; ``decide`` can fit others."""


def crossvalidate(
    recipe: Recipe,
    data: Path,
    out: Path,
    *,
    folds: int = 5,
    leave_out: str | None = None,
    epochs: int | None = None,
    seed: int | None = None,
    weights: str | None = None,
    resume: bool = False,
    say: Say = lambda line: None,
) -> CrossMeasured:
    """Fit ``folds`` networks on the data below ``data``, measure their pooled predictions and write all to ``out``.

    Args:
        leave_out: trait of which each fold leaves out one value; ``folds`` is then not used.
        epochs: number of epochs instead of the recipe's, for a trial.
        seed: seed that assigns groups to folds; by default the seed of the recipe's split.
        weights: file of the pretrained backbone, for a transfer recipe.
        resume: continue in ``out``; folds that already have predictions are not fitted again.
        say: called with each line of progress.

    Raises:
        RecipeError: ``weights`` is given for a recipe that takes none.
        DatasetError: the data do not match the published layout, are too few for this number of folds, or do not have
            the trait to leave out.
        ArtifactError: ``out`` holds files and ``resume`` is False, or the files belong to another plan.
    """
    recipe.check_weights(weights)
    dataset = recipe.source.load(data)
    for line in (dataset.summary(), *dataset.notes):
        say(line)
    seed = recipe.split.seed if seed is None else seed
    turns = _turns(recipe, dataset, folds, leave_out, seed)
    left_out = [f"{turn.value},{name}" for turn in turns for name in sorted(turn.tested)] if leave_out else []
    plan = CrossPlan(
        recipe.spec.name,
        len(turns),
        seed,
        epochs or recipe.plan.epochs,
        weights,
        digest(recipe.spec, dataset, left_out),
        leave_out,
        tuple(turn.value for turn in turns) if leave_out else None,
    )
    measured = open_folder(out, plan, resume=resume)
    if measured is not None:
        say(f"{out}: all {plan.folds} folds are already measured")
        return measured
    return _run(recipe, dataset, turns, plan, out, say)


def _turns(recipe: Recipe, dataset: Dataset, folds: int, trait: str | None, seed: int) -> tuple[LeftOut, ...]:
    """Return the folds, each with the names of the images that it tests."""
    if trait is not None:
        return leave_one_out(dataset.samples, replace(recipe.split, seed=seed), dataset.traits, trait)
    splits = folds_by_group(dataset.samples, folds, seed)
    return tuple(
        LeftOut(str(turn), frozenset(s.name for s in dataset.samples if split[s.group] is Part.TEST), split)
        for turn, split in enumerate(splits, start=1)
    )


def _run(
    recipe: Recipe, dataset: Dataset, turns: tuple[LeftOut, ...], plan: CrossPlan, out: Path, say: Say
) -> CrossMeasured:
    tensors = load_tensors(dataset.samples, recipe.spec, label="all")
    teachers = [find_recipe(name) for name in recipe.teacher.recipes] if recipe.teacher else []
    shown = [load_tensors(dataset.samples, teacher.spec, label=f"all for {teacher.spec.name}") for teacher in teachers]
    predictions: list[HeldOutPrediction] = []
    epochs: list[int] = []
    for turn, fold in enumerate(turns, start=1):
        folder, name = out / f"fold-{turn}", f" without {fold.value}" if plan.trait else ""
        if (folder / "predictions.csv").is_file():
            say(f"fold {turn} of {plan.folds}{name}: already fitted")
        else:
            parts = parts_of(tensors, fold.split, dataset.contradicted, fold.tested)
            say(f"fold {turn} of {plan.folds}{name}: {_counts(parts)}")
            folder.mkdir(exist_ok=True)
            keras.utils.clear_session()  # earlier folds are read from their files
            taught = [
                _fit_teacher(
                    teacher, parts_of(images, fold.split, dataset.contradicted, fold.tested), recipe, plan, folder
                )
                for teacher, images in zip(teachers, shown, strict=True)
            ]
            tested, validated = _fit_fold(recipe, parts, plan, turn, folder, taught, dataset.traits)
            if plan.trait:
                write_predictions(folder / "validation.csv", validated)
            write_predictions(folder / "predictions.csv", tested)
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
        pooled(
            predictions, tensors, recipe.spec, f"each {plan.trait} in turn" if plan.trait else f"{plan.folds} folds"
        ),
        cross_fit(predictions, recipe.spec),
        never_seen_figures(read_never_seen(out, recipe.spec, YOUDEN)) if plan.trait else None,
    )
    write_measured(out, measured)
    return measured


def parts_of(
    tensors: Tensors, split: Split, contradicted: frozenset[str], tested: frozenset[str] | None = None
) -> dict[Part, Tensors]:
    """Return the tensors of each part; images named in ``contradicted`` are used for test only.

    Args:
        tested: names of the images to test; None for all images of the groups for test. Other images of these groups
            are in no part.

    Raises:
        DatasetError: a part has no image left.
    """
    rows: dict[Part, list[int]] = {part: [] for part in Part}
    for row, sample in enumerate(tensors.samples):
        part = split[sample.group]
        used = sample.name not in contradicted
        if part is Part.TEST:
            used = tested is None or sample.name in tested
        if used:
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
    traits: Mapping[str, Traits],
) -> tuple[tuple[HeldOutPrediction, ...], tuple[HeldOutPrediction, ...]]:
    """Fit one fold and return predictions for its test images and for its validation images."""
    train = parts[Part.TRAIN]
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
        traits=traits,
    )
    network = logits_model(model)

    def predicted(part: Part) -> tuple[HeldOutPrediction, ...]:
        found = parts[part]
        logits = network.predict(found.images, verbose=0)
        rows = zip(found.samples, baseline_scores(train, found, recipe.spec), logits, strict=True)
        names = recipe.spec.labels
        return tuple(
            HeldOutPrediction(s.name, s.group, names[s.label], turn, float(b), tuple(float(z) for z in row))
            for s, b, row in rows
        )

    return predicted(Part.TEST), predicted(Part.VALIDATION) if plan.trait else ()


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
