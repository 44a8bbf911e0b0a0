"""Cross-validation by group, with pooled predictions.

Every group is tested once, by a network that was not trained on it. One split of a small set tests few groups, and its
figures depend on the choice of groups. Here each fold's network predicts its own test groups only. The predictions are
pooled, and the interval is by bootstrap over all groups. The figures describe the *recipe*, not one network. Logits of
different folds are not on one scale: the pooled area under the curve is, if anything, too low (Parker, Günter & Bedo
2007, BMC Bioinformatics 8:326).

A fold can also leave out one value of a trait, such as a site: its network is fitted without any image of the value and
tested on all of them.

For a distilled recipe, every recipe of a teacher is cross-validated first, over the same folds, in ``teachers/<name>``
of the folder. The student of a fold learns from the teachers of this fold: no teacher sees a group that the fold tests.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from edge_runtime.archive.engines.engine import TaskEngine
from edge_runtime.bundle.manifest import Evaluation
from edge_runtime.bundle.spec import ModelSpec
from training.data.datasets import Dataset
from training.data.folds import LeftOut
from training.data.tensors import Tensors, load_tensors
from training.errors import ArtifactError
from training.evaluation.measure import beside
from training.experiments.cross_validated_calibration import cross_fit
from training.experiments.cross_validation_folder import CrossMeasured, CrossPlan, open_folder, write_measured
from training.experiments.fold_tasks import FoldTask, fit_fold, inputs_of, of_teacher, run_tasks, turns_of
from training.experiments.never_seen import read_never_seen
from training.experiments.predictions import HeldOutPrediction, write_predictions
from training.metrics.sites import never_seen_figures
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
    engine: TaskEngine | None = None,
    say: Say = lambda line: None,
) -> CrossMeasured:
    """Fit ``folds`` networks on the data below ``data``, measure their pooled predictions and write all to ``out``.

    Args:
        leave_out: trait of which each fold leaves out one value; ``folds`` is then not used.
        epochs: number of epochs instead of the recipe's, for a trial.
        seed: seed that assigns groups to folds; by default the seed of the recipe's split.
        weights: file of the pretrained backbone, for a transfer recipe.
        resume: continue in ``out``; folds that already have predictions are not fitted again.
        engine: fits the folds in other processes; by default they are fitted here, one after the other.
        say: called with each line of progress.

    Raises:
        RecipeError: ``weights`` is given for a recipe that takes none.
        DatasetError: the data do not match the published layout, are too few for this number of folds, or do not have
            the trait to leave out.
        ArtifactError: ``out`` holds files and ``resume`` is False, or the files belong to another plan; or a fold
            failed on the engine.
    """
    recipe.check_weights(weights)
    dataset = recipe.source.load(data)
    for line in (dataset.summary(), *dataset.notes):
        say(line)
    seed = recipe.split.seed if seed is None else seed
    turns = turns_of(recipe, dataset, folds, leave_out, seed)

    def planned(fitted: Recipe) -> CrossPlan:
        return _plan(fitted, dataset, turns, seed, leave_out, epochs, weights)

    measured = open_folder(out, planned(recipe), resume=resume)
    if measured is not None:
        say(f"{out}: all {len(turns)} folds are already measured")
        return measured
    taught_by = tuple(find_recipe(name) for name in recipe.teacher.recipes) if recipe.teacher else ()
    for teacher in taught_by:
        folder = of_teacher(out, teacher)
        if open_folder(folder, planned(teacher), resume=folder.is_dir()) is None:
            say(f"teacher {teacher.spec.name}:")
            tasks = _tasks(teacher, recipe, (), data, folder, planned(teacher), saved=True)
            _run(tasks, dataset, turns, engine, say)
    tasks = _tasks(recipe, recipe, taught_by, data, out, planned(recipe), saved=False)
    return _run(tasks, dataset, turns, engine, say)


def crossvalidate_seeds(
    recipe: Recipe,
    data: Path,
    out: Path,
    seeds: Sequence[int],
    *,
    folds: int = 5,
    leave_out: str | None = None,
    epochs: int | None = None,
    weights: str | None = None,
    resume: bool = False,
    engine: TaskEngine | None = None,
    say: Say = lambda line: None,
) -> Iterator[tuple[Path, CrossMeasured]]:
    """Cross-validate once for each seed, and yield the folder and the figures of each.

    On an engine, the folds of several seeds are fitted at once, except those of a distilled recipe, whose teachers must
    be fitted first.

    Args:
        seeds: with several, each has the folder ``seed-N`` of ``out``. With one or none, ``out`` itself is the folder.

    The other arguments and the errors are those of :func:`crossvalidate`.
    """
    folders = {seed: out / f"seed-{seed}" for seed in seeds}
    begun = {seed: resume and folder.is_dir() for seed, folder in folders.items()}
    if len(seeds) < 2:
        seed = seeds[0] if seeds else recipe.split.seed
        folders, begun = {seed: out}, {seed: resume}
    elif engine is not None and recipe.teacher is None:
        recipe.check_weights(weights)
        dataset, tasks = recipe.source.load(data), list[FoldTask]()
        for seed, folder in folders.items():
            turns = turns_of(recipe, dataset, folds, leave_out, seed)
            plan = _plan(recipe, dataset, turns, seed, leave_out, epochs, weights)
            if open_folder(folder, plan, resume=begun[seed]) is None:
                tasks += _tasks(recipe, recipe, (), data, folder, plan, saved=False)
            begun[seed] = True
        run_tasks(tasks, engine, say)
    for seed, folder in folders.items():
        yield (
            folder,
            crossvalidate(
                recipe,
                data,
                folder,
                folds=folds,
                leave_out=leave_out,
                epochs=epochs,
                seed=seed,
                weights=weights,
                resume=begun[seed],
                engine=engine,
                say=say,
            ),
        )


def _plan(
    recipe: Recipe,
    dataset: Dataset,
    turns: tuple[LeftOut, ...],
    seed: int,
    trait: str | None,
    epochs: int | None,
    weights: str | None,
) -> CrossPlan:
    return CrossPlan(
        recipe.spec.name,
        len(turns),
        seed,
        epochs or recipe.plan.epochs,
        weights if recipe.transfer else None,
        inputs_of(recipe, dataset, turns, trait),
        trait,
        tuple(turn.value for turn in turns) if trait else None,
    )


def _tasks(
    recipe: Recipe,
    student: Recipe,
    teachers: tuple[Recipe, ...],
    data: Path,
    out: Path,
    plan: CrossPlan,
    *,
    saved: bool,
) -> list[FoldTask]:
    data, out = data.absolute(), out.absolute()  # workers have other working directories
    return [FoldTask(recipe, student, teachers, data, out, plan, turn, saved) for turn in range(1, plan.folds + 1)]


def _run(
    tasks: Sequence[FoldTask],
    dataset: Dataset,
    turns: tuple[LeftOut, ...],
    engine: TaskEngine | None,
    say: Say,
) -> CrossMeasured:
    """Fit and predict what is missing, measure all folds together and write the figures."""
    recipe, plan, out = tasks[0].recipe, tasks[0].plan, tasks[0].out
    tensors = load_tensors(dataset.samples, recipe.spec, label="all")
    if engine is not None:
        run_tasks(tasks, engine, say)
    predictions: list[HeldOutPrediction] = []
    epochs: list[int] = []
    for task, left_out in zip(tasks, turns, strict=True):
        if not task.fold.finished:
            fit_fold(task, dataset, tensors, turns, say)
        elif engine is None:
            name = f" without {left_out.value}" if plan.trait else ""
            say(f"fold {task.turn} of {plan.folds}{name}: already fitted")
        predictions += task.fold.predictions()
        epochs.append(task.fold.epochs())
    write_predictions(out / "predictions.csv", sorted(predictions, key=lambda p: p.name))
    part = f"each {plan.trait} in turn" if plan.trait else f"{plan.folds} folds"
    measured = CrossMeasured(
        plan,
        dataset.summary(),
        dataset.notes,
        len(dataset.contradicted),
        len(tensors.refused),
        tuple(epochs),
        pooled(predictions, tensors, recipe.spec, part),
        cross_fit(predictions, recipe.spec),
        never_seen_figures(read_never_seen(out, recipe.spec, YOUDEN)) if plan.trait else None,
    )
    write_measured(out, measured)
    return measured


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
