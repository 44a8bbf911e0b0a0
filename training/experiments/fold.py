"""One fold of a cross-validation: fit a network on its training groups, and predict the images that it tests.

history.csv       one line per epoch
validation.csv    predictions for the validation images, if a trait is left out
model.keras       the network, if the recipe teaches another one
predictions.csv   predictions for the tested images; written last, so that a missing file means an interrupted fold
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np

from edge_runtime.bundle.manifest import TeacherModel
from edge_runtime.platform.atomic_files import write_whole
from training.data.datasets import Traits
from training.data.splits import Part, Split
from training.data.tensors import Tensors
from training.errors import DatasetError
from training.experiments.cross_validation_folder import CrossPlan
from training.experiments.predictions import HeldOutPrediction, read_predictions, write_predictions
from training.fitting.fit import train_network
from training.fitting.teachers import LoadedTeacher, TeacherEnsemble
from training.metrics.binary import positive_truth
from training.metrics.evaluation import baseline_scores
from training.networks.keras_model import load_model, logits_model
from training.recipes.recipe import Recipe


@dataclass(frozen=True)
class Fold:
    """The folder of one fold, and its number from 1."""

    folder: Path
    turn: int

    @property
    def finished(self) -> bool:
        """Whether the predictions are written."""
        return self._predictions.is_file()

    def predictions(self) -> tuple[HeldOutPrediction, ...]:
        """Read the predictions of a finished fold."""
        return tuple(read_predictions(self._predictions))

    def epochs(self) -> int:
        """Return the number of epochs that were fitted."""
        return len(self._history.read_text(encoding="utf-8").splitlines()) - 1

    def teacher(self, recipe: Recipe) -> LoadedTeacher:
        """Load the network of a finished fold that was saved, as a teacher.

        Raises:
            ArtifactError: the network is missing, or Keras cannot read it.
        """
        network = logits_model(load_model(self._model))
        digest = hashlib.sha256(self._model.read_bytes()).hexdigest()
        return LoadedTeacher(recipe.spec, network, TeacherModel(recipe.spec.name, recipe.spec.version, digest))

    def fit(
        self,
        recipe: Recipe,
        parts: Mapping[Part, Tensors],
        plan: CrossPlan,
        teachers: Sequence[LoadedTeacher],
        traits: Mapping[str, Traits],
        *,
        saved: bool,
    ) -> None:
        """Fit the network of the fold and write its predictions.

        Args:
            teachers: the teachers of this fold; empty for a recipe that is not distilled.
            saved: save the network, too.

        Raises:
            DatasetError: the training images are all positive, or none is.
        """
        train = parts[Part.TRAIN]
        truth = positive_truth(train.labels, recipe.spec)
        if truth.all() or not truth.any():
            raise DatasetError(
                f"fold {self.turn}: found {int(truth.sum())} positive among {len(truth)} training images, expected "
                "both kinds. Add patients or give another --seed."
            )
        self.folder.mkdir(exist_ok=True)
        model = train_network(
            recipe,
            train,
            parts[Part.VALIDATION],
            epochs=plan.epochs,
            history=self._history,
            weights=plan.weights,
            teachers=TeacherEnsemble(teachers, recipe.spec, recipe.teacher.temperature) if recipe.teacher else None,
            traits=traits,
        )
        if plan.trait:
            validated = self._predict(model, recipe, train, parts[Part.VALIDATION])
            write_predictions(self.folder / "validation.csv", validated)
        if saved:
            write_whole(self._model, model.save)
        write_predictions(self._predictions, self._predict(model, recipe, train, parts[Part.TEST]))

    def _predict(
        self, model: keras.Model, recipe: Recipe, train: Tensors, asked: Tensors
    ) -> tuple[HeldOutPrediction, ...]:
        logits = logits_model(model).predict(asked.images, verbose=0)
        rows = zip(asked.samples, baseline_scores(train, asked, recipe.spec), logits, strict=True)
        names = recipe.spec.labels
        return tuple(
            HeldOutPrediction(s.name, s.group, names[s.label], self.turn, float(b), tuple(float(z) for z in row))
            for s, b, row in rows
        )

    @property
    def _history(self) -> Path:
        return self.folder / "history.csv"

    @property
    def _predictions(self) -> Path:
        return self.folder / "predictions.csv"

    @property
    def _model(self) -> Path:
        return self.folder / "model.keras"


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


def counts(parts: Mapping[Part, Tensors]) -> str:
    """Return the number of images and groups of each part, in words."""
    return ", ".join(f"{p.value} {len(t.labels)} images of {len(set(t.groups))} groups" for p, t in parts.items())
