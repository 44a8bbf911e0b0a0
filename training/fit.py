"""Fit a recipe: split, read, balance, train, measure, write the artifact."""

from __future__ import annotations

import platform
from pathlib import Path

import keras

from edge_runtime.manifest import Evaluation, Figure, TrainingRecord
from training.artifact import Artifact, Measured, create
from training.batches import Batches
from training.datasets import Dataset
from training.errors import RecipeError
from training.keras_model import logits_model
from training.measure import compare
from training.progress import FitProgress
from training.recipe import Recipe, Sgd, TrainingPlan
from training.splits import Part, Split, select, split_by_group
from training.tensors import Tensors, balanced_index, capped_index, load_tensors, targets
from training.versions import version


def fit(recipe: Recipe, data: Path, out: Path, *, epochs: int | None = None, weights: str | None = None) -> Artifact:
    """Train ``recipe`` on the published layout below ``data`` and write an artifact to ``out``.

    Args:
        epochs: fewer epochs than the recipe's plan, for a trial.
        weights: pretrained backbone for a transfer recipe: ``imagenet`` (Keras downloads it) or a path.

    Raises:
        RecipeError: weights for a recipe that takes none.
        DatasetError: the data are not what the layout promises.
        ArtifactError: ``out`` already holds files.
    """
    if weights is not None and not recipe.transfer:
        raise RecipeError(f"{recipe.spec.name} starts from random weights and takes no --weights; leave it out.")
    dataset = recipe.source.load(data)
    split = split_by_group(dataset.samples, recipe.split)
    artifact = create(out)
    parts = {part: _read(recipe, dataset, split, part) for part in Part}
    artifact.write_choices(recipe.spec, split)  # after reading: pictures that fail leave an empty folder, usable again
    model = train_network(
        recipe,
        parts[Part.TRAIN],
        parts[Part.VALIDATION],
        epochs=epochs or recipe.plan.epochs,
        history=artifact.history_path,
        weights=weights,
    )
    model.save(artifact.model_path)
    network = logits_model(model)
    evaluations: list[Evaluation] = []
    for part in (Part.VALIDATION, Part.TEST):
        logits = network.predict(parts[part].images, verbose=0)
        evaluations += compare(logits, parts[Part.TRAIN], parts[part], recipe.spec, part.value)
    record = _record(recipe, parts, artifact.epochs())
    artifact.write_measured(Measured(record, tuple(evaluations)))
    return artifact


def _read(recipe: Recipe, dataset: Dataset, split: Split, part: Part) -> Tensors:
    return load_tensors(select(dataset.samples, split, part), recipe.spec, label=part.value)


def train_network(
    recipe: Recipe, train: Tensors, validation: Tensors, *, epochs: int, history: Path, weights: str | None = None
) -> keras.Model:
    """Fit the network and return it with the weights that the plan keeps; one line an epoch goes to ``history``."""
    plan = recipe.plan
    keras.utils.set_random_seed(plan.seed)
    train, validation = _fitted_on(train, plan), _fitted_on(validation, plan)
    batches = Batches(
        train.images,
        targets(train.labels, recipe.spec),
        batch=plan.batch,
        seed=plan.seed,
        augmentation=recipe.augmentation,
    )
    model = recipe.network(weights)
    model.compile(optimizer=_optimiser(plan), loss=plan.loss.value, metrics=["accuracy"])
    model.fit(
        batches,
        validation_data=(validation.images, targets(validation.labels, recipe.spec)),
        epochs=epochs,
        callbacks=[*_callbacks(plan), keras.callbacks.CSVLogger(str(history)), FitProgress(epochs, len(batches))],
        verbose=0,
    )
    model.compile()  # drops the optimiser's state: twice the weights' size, and nothing reads it again
    return model


def _optimiser(plan: TrainingPlan) -> keras.optimizers.Optimizer:
    if isinstance(plan.optimiser, Sgd):
        return keras.optimizers.SGD(plan.optimiser.learning_rate, clipvalue=plan.optimiser.clip_value)
    return keras.optimizers.Adam(plan.optimiser.learning_rate)


def _callbacks(plan: TrainingPlan) -> list[keras.callbacks.Callback]:
    """Return early stopping (which also keeps the best weights) and plateau, where the plan has them."""
    found: list[keras.callbacks.Callback] = []
    if plan.stop_patience is not None or plan.keep_best:
        patience = plan.epochs if plan.stop_patience is None else plan.stop_patience
        found.append(keras.callbacks.EarlyStopping("val_loss", patience=patience, restore_best_weights=plan.keep_best))
    if plan.plateau is not None:
        found.append(
            keras.callbacks.ReduceLROnPlateau(
                "val_loss", factor=plan.plateau.factor, patience=plan.plateau.patience, min_lr=plan.plateau.min_rate
            )
        )
    return found


def _fitted_on(tensors: Tensors, plan: TrainingPlan) -> Tensors:
    """Return what the loss sees: at most so many pictures a patient, then the labels balanced."""
    if plan.patient_cap is not None:
        tensors = tensors.take(capped_index(tensors.groups, plan.patient_cap, plan.seed))
    return tensors.take(balanced_index(tensors.labels, plan.seed)) if plan.balance else tensors


def _record(recipe: Recipe, parts: dict[Part, Tensors], epochs: int) -> TrainingRecord:
    packages = ("keras", keras.backend.backend(), "numpy", "opencv-python-headless")
    return TrainingRecord(
        recipe=recipe.spec.name,
        dataset=recipe.source.title,
        citation=recipe.source.citation,
        licence=recipe.source.licence,
        research_only=recipe.source.research_only,
        split=(
            f"by patient, stratified, seed {recipe.split.seed}; "
            f"{recipe.split.validation:.0%} validation, {recipe.split.test:.0%} test"
        ),
        images={part.value: len(tensors.labels) for part, tensors in parts.items()}
        | {"refused": sum(len(tensors.refused) for tensors in parts.values())},
        groups={part.value: len(set(tensors.groups)) for part, tensors in parts.items()},
        epochs=epochs,
        versions={"python": platform.python_version()} | {name: version(name) for name in packages},
        claims=tuple(Figure(claim.name, claim.value) for claim in recipe.claims),
        caveat=recipe.caveat,
    )
