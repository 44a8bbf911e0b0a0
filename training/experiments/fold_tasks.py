"""Folds of a cross-validation as tasks, in this process or on an engine of :mod:`edge_runtime.archive.engines`.

A task is a recipe, the data and the number of the fold. Everything else is computed from them again, so that a fold
gives the same network in every process. The predictions in its folder say that it is fitted.
"""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import keras

from edge_runtime.archive.engines.engine import TaskEngine
from training.data.datasets import Dataset
from training.data.folds import LeftOut, folds_by_group
from training.data.folds import leave_out as leave_one_out
from training.data.splits import Part
from training.data.tensors import Tensors, load_tensors
from training.errors import ArtifactError
from training.experiments.cross_validation_folder import CrossPlan, digest
from training.experiments.fold import Fold, counts, parts_of
from training.recipes.recipe import Recipe

Say = Callable[[str], None]


@dataclass(frozen=True)
class FoldTask:
    """One fold to fit.

    Attributes:
        recipe: the recipe to fit.
        student: the recipe whose split gives the folds; ``recipe`` itself, unless it is a teacher of it.
        teachers: recipes whose networks of this fold are saved below ``out``.
        data, out: folder of the published layout, and folder of the cross-validation.
        turn: number of the fold, from 1.
        saved: save the network of the fold.
    """

    recipe: Recipe
    student: Recipe
    teachers: tuple[Recipe, ...]
    data: Path
    out: Path
    plan: CrossPlan
    turn: int
    saved: bool

    @property
    def fold(self) -> Fold:
        """The folder of the fold."""
        return Fold(self.out / f"fold-{self.turn}", self.turn)


def turns_of(recipe: Recipe, dataset: Dataset, folds: int, trait: str | None, seed: int) -> tuple[LeftOut, ...]:
    """Return the folds, each with the names of the images that it tests."""
    if trait is not None:
        return leave_one_out(dataset.samples, replace(recipe.split, seed=seed), dataset.traits, trait)
    splits = folds_by_group(dataset.samples, folds, seed)
    return tuple(
        LeftOut(str(turn), frozenset(s.name for s in dataset.samples if split[s.group] is Part.TEST), split)
        for turn, split in enumerate(splits, start=1)
    )


def inputs_of(recipe: Recipe, dataset: Dataset, turns: Sequence[LeftOut], trait: str | None) -> str:
    """Return the hash of everything but the pixels that determines folds and predictions."""
    left_out = [f"{turn.value},{name}" for turn in turns for name in sorted(turn.tested)] if trait else []
    return digest(recipe.spec, dataset, left_out)


def of_teacher(out: Path, teacher: Recipe) -> Path:
    """Return the folder of a teacher's cross-validation."""
    return out / "teachers" / teacher.spec.name


def fit_fold(
    task: FoldTask, dataset: Dataset, tensors: Tensors, turns: Sequence[LeftOut], say: Say = lambda line: None
) -> None:
    """Fit the network of a fold and write its predictions."""
    left_out, plan, turn = turns[task.turn - 1], task.plan, task.turn
    parts = parts_of(tensors, left_out.split, dataset.contradicted, left_out.tested)
    name = f" without {left_out.value}" if plan.trait else ""
    say(f"fold {turn} of {plan.folds}{name}: {counts(parts)}")
    keras.utils.clear_session()  # earlier folds are read from their files
    taught = [Fold(of_teacher(task.out, teacher) / f"fold-{turn}", turn).teacher(teacher) for teacher in task.teachers]
    task.fold.fit(task.recipe, parts, plan, taught, dataset.traits, saved=task.saved)


def run_task(task: FoldTask) -> None:
    """Fit a fold in a process of its own, unless it is fitted. The process ends if this one dies.

    Dask calls tasks in threads, in which Keras draws other random numbers than in the main thread of a process.

    Raises:
        ArtifactError: the fold failed; the message is the end of what the process printed.
    """
    if task.fold.finished:
        return
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    command = [sys.executable, "-c", f"from {__name__} import fit_from_stdin; fit_from_stdin()"]
    with tempfile.TemporaryFile() as told:
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.DEVNULL, "stderr": told}
        with subprocess.Popen(command, env=environment, **pipes) as process:  # type: ignore[call-overload]
            pickle.dump(task, process.stdin)
            process.stdin.flush()
            process.wait()
        if process.returncode:
            told.seek(0)
            lines = told.read().decode("utf-8", "replace").strip().splitlines() or ["nothing was printed"]
            raise ArtifactError(f"exit status {process.returncode}: {lines[-1]}")


def fit_from_stdin() -> None:
    """Fit the fold of the task on stdin, and end at once when stdin is closed: the process that asked is dead."""
    task: FoldTask = pickle.load(sys.stdin.buffer)
    threading.Thread(target=lambda: os._exit(1 + len(os.read(0, 1))), daemon=True).start()
    fit_alone(task)
    sys.stderr.flush()
    os._exit(0)  # the thread still reads


def fit_alone(task: FoldTask) -> None:
    """Load the data of a task and fit its fold.

    Raises:
        ArtifactError: the data are not those of the plan.
        DatasetError: as in :meth:`Fold.fit`.
    """
    plan, dataset = task.plan, task.student.source.load(task.data)
    turns = turns_of(task.student, dataset, plan.folds, plan.trait, plan.seed)
    if inputs_of(task.recipe, dataset, turns, plan.trait) != plan.inputs:
        raise ArtifactError(f"{task.data}: found other images than the plan of {task.out}, expected the same.")
    fit_fold(task, dataset, load_tensors(dataset.samples, task.recipe.spec, label="all"), turns)


def run_tasks(tasks: Sequence[FoldTask], engine: TaskEngine, say: Say) -> None:
    """Fit all folds on an engine.

    Raises:
        ArtifactError: a fold has failed; the message says why.
    """
    for outcome in engine.run(run_task, [task for task in tasks if not task.fold.finished]):
        task: FoldTask = outcome.item
        if not task.fold.finished:
            raise ArtifactError(f"fold {task.turn} of {task.out}: {outcome.fault or 'the task ended without a file'}")
        say(f"fold {task.turn} of {task.plan.folds}, seed {task.plan.seed}: fitted")
