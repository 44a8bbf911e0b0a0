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

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import numpy.typing as npt

from edge_runtime.bundle.manifest import Evaluation
from edge_runtime.bundle.spec import ModelSpec
from training.data.datasets import Dataset
from training.data.folds import LeftOut, folds_by_group
from training.data.folds import leave_out as leave_one_out
from training.data.splits import Part
from training.data.tensors import Tensors, load_tensors
from training.errors import ArtifactError
from training.evaluation.measure import beside
from training.experiments.cross_validated_calibration import cross_fit
from training.experiments.cross_validation_folder import CrossMeasured, CrossPlan, digest, open_folder, write_measured
from training.experiments.fold import Fold, counts, parts_of
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

    def planned(fitted: Recipe) -> CrossPlan:
        return CrossPlan(
            fitted.spec.name,
            len(turns),
            seed,
            epochs or fitted.plan.epochs,
            weights if fitted.transfer else None,
            digest(fitted.spec, dataset, left_out),
            leave_out,
            tuple(turn.value for turn in turns) if leave_out else None,
        )

    measured = open_folder(out, planned(recipe), resume=resume)
    if measured is not None:
        say(f"{out}: all {len(turns)} folds are already measured")
        return measured
    taught_by = [find_recipe(name) for name in recipe.teacher.recipes] if recipe.teacher else []
    for teacher in taught_by:
        folder = _of_teacher(out, teacher)
        if open_folder(folder, planned(teacher), resume=folder.is_dir()) is None:
            say(f"teacher {teacher.spec.name}:")
            _run(teacher, dataset, turns, planned(teacher), folder, say, saved=True)
    return _run(recipe, dataset, turns, planned(recipe), out, say, teachers=taught_by)


def _of_teacher(out: Path, teacher: Recipe) -> Path:
    return out / "teachers" / teacher.spec.name


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
    recipe: Recipe,
    dataset: Dataset,
    turns: tuple[LeftOut, ...],
    plan: CrossPlan,
    out: Path,
    say: Say,
    *,
    teachers: Sequence[Recipe] = (),
    saved: bool = False,
) -> CrossMeasured:
    """Fit and predict what ``out`` lacks, measure all folds together and write the figures.

    Args:
        teachers: recipes whose networks of each fold are saved below ``out``.
        saved: save the network of each fold.
    """
    tensors = load_tensors(dataset.samples, recipe.spec, label="all")
    predictions: list[HeldOutPrediction] = []
    epochs: list[int] = []
    for turn, left_out in enumerate(turns, start=1):
        fold, name = Fold(out / f"fold-{turn}", turn), f" without {left_out.value}" if plan.trait else ""
        if fold.finished:
            say(f"fold {turn} of {plan.folds}{name}: already fitted")
        else:
            parts = parts_of(tensors, left_out.split, dataset.contradicted, left_out.tested)
            say(f"fold {turn} of {plan.folds}{name}: {counts(parts)}")
            keras.utils.clear_session()  # earlier folds are read from their files
            taught = [Fold(_of_teacher(out, teacher) / f"fold-{turn}", turn).teacher(teacher) for teacher in teachers]
            fold.fit(recipe, parts, plan, taught, dataset.traits, saved=saved)
        predictions += fold.predictions()
        epochs.append(fold.epochs())
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
