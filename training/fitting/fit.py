"""Fit a recipe: split, read, balance, train, measure, write the artifact."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import keras

from edge_runtime.bundle.manifest import Evaluation
from edge_runtime.platform.atomic_files import write_whole
from training.artifact import Artifact, MeasuredFigures, create, interrupted
from training.data.assignment import split_by_group
from training.data.batches import Batches, DealEpoch
from training.data.crop_batches import CropBatches
from training.data.datasets import Dataset, Sample, Traits
from training.data.splits import Part, Split, select, usable
from training.data.tensors import Tensors, balanced_index, capped_index, label_weights, load_tensors, targets
from training.evaluation.measure import compare
from training.fitting.callbacks import LogEpoch, ReplayEpochs, SaveEpoch, schedule
from training.fitting.checkpoint import Checkpoint
from training.fitting.crop_fit import crop_batches, validation_data
from training.fitting.fingerprint import fitted_on
from training.fitting.progress import FitProgress
from training.fitting.record import record
from training.fitting.resume import fresh, resumed
from training.fitting.teachers import TeacherEnsemble, open_teachers
from training.networks.keras_model import logits_model
from training.networks.lesion_attention import classifier
from training.networks.weight_quantisation import settle
from training.recipes.recipe import Recipe, TrainingPlan

_LOG = logging.getLogger(__name__)


def fit(
    recipe: Recipe,
    data: Path,
    out: Path,
    *,
    epochs: int | None = None,
    weights: str | None = None,
    resume: bool = False,
    strict: bool = False,
    teachers: Sequence[Path] = (),
) -> Artifact:
    """Train ``recipe`` on the published layout below ``data`` and write an artifact to ``out``.

    Args:
        epochs: number of epochs for a trial, if fewer than in the recipe's plan.
        weights: pretrained backbone for a transfer recipe: ``imagenet`` (Keras downloads it) or a path. A continued
            fit takes the weights from its checkpoint instead.
        resume: continue the interrupted fit in ``out`` after its last whole epoch.
        strict: raise an error for an image that cannot be read, instead of skipping it.
        teachers: artifacts that a distilled recipe learns from.

    Raises:
        RecipeError: weights are given for a recipe without a pretrained backbone; or teachers do not suit the recipe.
        DatasetError: the data do not match the published layout.
        ArtifactError: ``out`` already contains files; or, with ``resume``, no fit of this recipe on these data; or the
            disk is full.
    """
    recipe.check_weights(weights)
    artifact = interrupted(out) if resume else None
    dataset = recipe.source.load(data)
    split = split_by_group(dataset.samples, recipe.split, dataset.traits)
    if artifact is not None:
        artifact.check_choices(recipe.spec, split)
    ensemble = open_teachers([Artifact(folder) for folder in teachers], recipe, split)
    opened = artifact or create(out)
    chosen = _chosen(dataset, split)
    parts = {part: load_tensors(chosen[part], recipe.spec, label=part.value, strict=strict) for part in chosen}
    if not resume:  # written after reading, so that an unreadable image leaves an empty folder
        opened.write_choices(recipe.spec, split)
    checkpoint = Checkpoint(opened.checkpoint_path)
    model = train_network(
        recipe,
        parts[Part.TRAIN],
        parts[Part.VALIDATION],
        epochs=epochs or recipe.plan.epochs,
        history=opened.history_path,
        weights=weights,
        checkpoint=checkpoint,
        traits=dataset.traits,
        teachers=ensemble,
    )
    known = () if ensemble is None else ensemble.models
    contradicted = len(dataset.samples) - sum(map(len, chosen.values()))
    try:
        write_whole(opened.model_path, model.save)
        done = record(recipe, dataset, parts, contradicted=contradicted, epochs=opened.epochs(), teachers=known)
        opened.write_measured(MeasuredFigures(done, _evaluations(model, recipe, parts, dataset.traits)))
    except OSError as error:
        raise checkpoint.lost(Path(error.filename or opened.model_path), error) from error
    checkpoint.remove()
    return opened


def _chosen(dataset: Dataset, split: Split) -> dict[Part, tuple[Sample, ...]]:
    """Log what the data set holds; return each part's samples, training and validation without contradicted ones."""
    for line in (dataset.summary(), *dataset.notes):
        _LOG.info("%s", line)
    used = [part for part in Part if part in set(split.values())]
    chosen = {part: usable(select(dataset.samples, split, part), part, dataset.contradicted) for part in used}
    if left_out := len(dataset.samples) - sum(len(samples) for samples in chosen.values()):
        _LOG.warning("%d images are left out of fitting: each is a near copy of an image with another label", left_out)
    return chosen


def _evaluations(
    model: keras.Model, recipe: Recipe, parts: dict[Part, Tensors], traits: Mapping[str, Traits]
) -> tuple[Evaluation, ...]:
    network = logits_model(model)
    found: list[Evaluation] = []
    for part in (part for part in (Part.VALIDATION, Part.TEST) if part in parts):
        logits = network.predict(parts[part].images, verbose=0)
        found += compare(logits, parts[Part.TRAIN], parts[part], recipe.spec, part.value, traits)
    return tuple(found)


def train_network(
    recipe: Recipe,
    train: Tensors,
    validation: Tensors,
    *,
    epochs: int,
    history: Path,
    weights: str | None = None,
    checkpoint: Checkpoint | None = None,
    traits: Mapping[str, Traits] | None = None,
    teachers: TeacherEnsemble | None = None,
) -> keras.Model:
    """Fit the network and return it with the weights that the plan keeps. Write one line per epoch to ``history``.

    With a ``checkpoint``, every epoch is saved there, and a saved fit is continued. The result equals that of an
    uninterrupted fit.

    Raises:
        ArtifactError: the checkpoint belongs to another fit, or the disk is full.
    """
    plan = recipe.plan
    keras.utils.set_random_seed(plan.seed)
    known = () if teachers is None else teachers.models
    same = None if checkpoint is None else fitted_on(recipe, train, validation, known)
    start = None if checkpoint is None or same is None else resumed(checkpoint, same, history, epochs)
    start = start or fresh(recipe, weights, history)
    train, validation = _fitted_on(train, plan), _fitted_on(validation, plan)
    if recipe.crops is not None:
        batches: Batches | CropBatches = crop_batches(recipe, recipe.crops, train, traits or {}, start.model)
        held_out: tuple[Any, ...] = validation_data(recipe, validation, start.model)
    else:
        batches = _tensor_batches(recipe, train, teachers)
        held_out = validation.images, targets(validation.labels, recipe.spec)
    planned = schedule(plan, epochs)
    replay = ReplayEpochs(planned, start.done, start.best, plan.optimiser.learning_rate)
    progress = FitProgress(epochs, len(batches), [epoch["val_loss"] for epoch in start.done])
    save = [] if checkpoint is None or same is None else [SaveEpoch(checkpoint, same, planned)]
    try:
        start.model.fit(
            batches,
            shuffle=False,  # Batches shuffles
            validation_data=held_out,
            initial_epoch=len(start.done),
            epochs=len(start.done) if start.stopped else epochs,
            callbacks=[DealEpoch(batches), *planned, replay, LogEpoch(history, checkpoint), progress, *save],
            verbose=0,
        )
    finally:
        progress.close()
    if plan.int8_grid:
        settle(start.model, batches)
    if recipe.crops is not None:
        return classifier(start.model)
    start.model.compile()  # drops the optimiser's state, which is twice as large as the weights and no longer needed
    return start.model


def _tensor_batches(recipe: Recipe, train: Tensors, teachers: TeacherEnsemble | None) -> Batches:
    plan, sampling = recipe.plan, recipe.plan.sampling
    drawn = None if sampling is None else sampling.expected(train.groups)
    return Batches(
        train.images,
        targets(train.labels, recipe.spec),
        batch=plan.batch,
        seed=plan.seed,
        augmentation=recipe.augmentation,
        weights=label_weights(train.labels, drawn) if plan.weigh_labels else None,
        teach=None if teachers is None else teachers.probabilities,
        draw=None if sampling is None else partial(sampling.draw, train.groups),
    )


def _fitted_on(tensors: Tensors, plan: TrainingPlan) -> Tensors:
    """Return the images that are fitted on: at most ``patient_cap`` per patient, then balanced by label."""
    if plan.patient_cap is not None:
        tensors = tensors.take(capped_index(tensors.groups, plan.patient_cap, plan.seed))
    return tensors.take(balanced_index(tensors.labels, plan.seed)) if plan.balance else tensors
