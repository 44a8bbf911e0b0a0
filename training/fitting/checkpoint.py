"""Checkpoint of a fit after its last whole epoch, in ``checkpoint/`` of the artifact until the fit is finished.

epoch-0004.keras    architecture, weights and optimiser after epoch 4
epoch-0002.keras    the same for the best epoch, if the plan keeps the best and it is not the last
state.json          numbers of these epochs, and the random state of every dropout, which Keras does not save;
                    written last, so that it names only complete files
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass, fields
from pathlib import Path

import keras
import numpy as np

from edge_runtime.errors import EdgeError
from edge_runtime.platform.atomic_files import write_whole
from edge_runtime.serialisation.records import canonical_json, from_json
from training.errors import ArtifactError, why_not_written
from training.fitting.fingerprint import FittedOn


@dataclass(frozen=True)
class FitState:
    """State of a fit.

    Attributes:
        epochs: number of whole epochs done.
        best: the epoch (counted from 1) whose weights the plan would keep; None if the plan keeps the last.
        stopped: early stopping has ended the fit after these epochs.
        random: state of every seed generator, in the order of the model's variables.
    """

    epochs: int
    best: int | None
    stopped: bool
    random: tuple[tuple[int, ...], ...]
    fitted_on: FittedOn


@dataclass(frozen=True)
class Checkpoint:
    """The checkpoint folder, read and written one epoch at a time."""

    folder: Path

    def state(self) -> FitState | None:
        """Return the saved state; None before the end of the first epoch.

        Raises:
            ArtifactError: ``state.json`` does not have the format that :meth:`save` writes.
        """
        path = self.folder / "state.json"
        if not path.is_file():
            return None
        try:
            return from_json(FitState, path.read_bytes(), str(path))
        except EdgeError as error:
            raise ArtifactError(f"{error} The fit cannot be continued. Remove the folder and fit again.") from None

    def model(self, epoch: int) -> keras.Model:
        """Return the model after ``epoch``, counted from 1, with its optimiser.

        Raises:
            ArtifactError: the file is missing, or Keras cannot read it.
        """
        path = self._model_path(epoch)
        try:
            return keras.models.load_model(path)
        except (ValueError, OSError) as error:
            raise ArtifactError(
                f"{path}: expected a Keras 3 model, found: {error}. "
                "The fit cannot be continued. Remove the folder above it and fit again."
            ) from None

    def save(self, model: keras.Model, state: FitState) -> None:
        """Write ``model`` as the last epoch of ``state``, then ``state``, then remove models that it does not name.

        Raises:
            ArtifactError: a file cannot be written; the checkpoint of the epoch before is still complete.
        """
        path = self._model_path(state.epochs)
        try:
            self.folder.mkdir(exist_ok=True)
            write_whole(path, model.save)
            path = self.folder / "state.json"
            write_whole(path, lambda part: part.write_text(canonical_json(state) + "\n", encoding="utf-8"))
        except OSError as error:
            raise self.lost(path, error) from error
        kept = {self._model_path(epoch) for epoch in (state.epochs, state.best) if epoch is not None}
        for old in set(self.folder.glob("epoch-*.keras")) - kept:
            old.unlink()

    def lost(self, path: Path, error: OSError) -> ArtifactError:
        """Return an error that states which file could not be written, which epoch is saved, and the remedy."""
        state = self.state()
        safe = f"The checkpoint of epoch {state.epochs} is whole" if state else "No epoch was saved before it"
        return ArtifactError(f"{why_not_written(path, error)} {safe}: free space, then fit again with --resume.")

    def remove(self) -> None:
        """Remove the folder, if it is there."""
        if self.folder.is_dir():
            shutil.rmtree(self.folder)

    def _model_path(self, epoch: int) -> Path:
        return self.folder / f"epoch-{epoch:04d}.keras"


def random_state(model: keras.Model) -> tuple[tuple[int, ...], ...]:
    """Return the state of the model's seed generators."""
    return tuple(tuple(int(value) for value in np.asarray(seed.numpy())) for seed in _seeds(model))


def set_random_state(model: keras.Model, state: tuple[tuple[int, ...], ...]) -> None:
    """Restore the state that :func:`random_state` returned."""
    for variable, values in zip(_seeds(model), state, strict=True):
        variable.assign(np.array(values, dtype=variable.dtype))


def _seeds(model: keras.Model) -> list[keras.Variable]:
    """Return the variables that are not weights. According to Keras' documentation, these are the random seeds."""
    weights = {id(weight) for weight in model.weights}
    return [variable for variable in model.variables if id(variable) not in weights]


def check_same(expected: FittedOn, state: FitState, epochs: int, folder: Path) -> None:
    """Check that a fit is continued with the same plan and images, and for no fewer epochs than it has done.

    Raises:
        ArtifactError: a check fails; the message names the first difference.
    """
    if epochs < state.epochs:
        raise ArtifactError(f"{folder}: found {state.epochs} epochs done, expected at most {epochs}. Raise --epochs.")
    for field in fields(FittedOn):
        ours, theirs = getattr(expected, field.name), getattr(state.fitted_on, field.name)
        if ours != theirs:
            what = field.name if field.name == "plan" else f"{field.name} images (SHA-256)"
            raise ArtifactError(
                f"{folder}: the fit began with other {what}: found {theirs}, expected {ours}. "
                "Continue it with the recipe and --data that it began with, or give another --out."
            )
