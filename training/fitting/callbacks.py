"""Keras callbacks of a fit: early stopping, learning rate, history and checkpoint, and their state on resuming."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from training.errors import ArtifactError, why_not_written
from training.fitting.checkpoint import Checkpoint, FitState, random_state
from training.fitting.fingerprint import FittedOn
from training.fitting.history import Epoch, append_epoch
from training.recipes.recipe import TrainingPlan

Weights = list[npt.NDArray[np.float32]]


def schedule(plan: TrainingPlan, epochs: int) -> list[keras.callbacks.Callback]:
    """Return the callbacks of the plan: early stopping (which also keeps the best weights), plateau and cosine.

    Args:
        epochs: length of this fit, over which a cosine falls.
    """
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
    if plan.cosine is not None:
        rate = partial(plan.cosine.rate, plan.optimiser.learning_rate, epochs=epochs)
        found.append(keras.callbacks.LearningRateScheduler(lambda epoch, _: rate(epoch=epoch)))
    return found


class ReplayEpochs(keras.callbacks.Callback):  # type: ignore[misc]  # Keras ships no types
    """Restore the state of the schedule on resuming, by replaying the epochs fitted before.

    Keras resets its callbacks when a fit begins, and their counters are private attributes. This callback comes
    after them and calls their ``on_epoch_end`` with the logged figures. Early stopping copies the model's weights at
    every improvement, the last time at the best epoch. So the model holds the best weights during the replay. Plateau
    lowers the learning rate again, so the replay starts from the rate of the plan.
    """

    def __init__(
        self, callbacks: Sequence[keras.callbacks.Callback], epochs: Sequence[Epoch], best: Weights | None, rate: float
    ) -> None:
        super().__init__()
        self._callbacks, self._epochs, self._best, self._rate = callbacks, epochs, best, rate

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Replay the epochs, then restore the model's last weights and learning rate."""
        optimiser = self.model.optimizer
        weights, rate = self.model.get_weights(), float(optimiser.learning_rate)
        optimiser.learning_rate = self._rate
        if self._best is not None:
            self.model.set_weights(self._best)
        for epoch, figures in enumerate(self._epochs):
            for callback in self._callbacks:
                callback.on_epoch_end(epoch, dict(figures))
        self.model.set_weights(weights)
        optimiser.learning_rate = rate


class LogEpoch(keras.callbacks.Callback):  # type: ignore[misc]  # Keras ships no types
    """Write one line of history after every epoch, with the figures of Keras and of the callbacks before this one."""

    def __init__(self, path: Path, checkpoint: Checkpoint | None) -> None:
        super().__init__()
        self._path, self._checkpoint = path, checkpoint

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Write the line.

        Raises:
            ArtifactError: the file cannot be written, for example because the disk is full.
        """
        try:
            append_epoch(self._path, epoch, logs or {})
        except OSError as error:
            if self._checkpoint is not None:
                raise self._checkpoint.lost(self._path, error) from error
            raise ArtifactError(f"{why_not_written(self._path, error)} Free space, then fit again.") from error


class SaveEpoch(keras.callbacks.Callback):  # type: ignore[misc]  # Keras ships no types
    """Write a checkpoint after every epoch. Must come last, after learning rate and ``stop_training`` are set."""

    def __init__(
        self, checkpoint: Checkpoint, fitted_on: FittedOn, callbacks: Sequence[keras.callbacks.Callback]
    ) -> None:
        super().__init__()
        self._checkpoint, self._fitted_on = checkpoint, fitted_on
        stopping = (c for c in callbacks if isinstance(c, keras.callbacks.EarlyStopping) and c.restore_best_weights)
        self._stopping = next(stopping, None)

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Write the checkpoint.

        Raises:
            ArtifactError: the file cannot be written, for example because the disk is full.
        """
        best = None if self._stopping is None else self._stopping.best_epoch + 1
        stopped = bool(self.model.stop_training)
        state = FitState(epoch + 1, best, stopped, random_state(self.model), self._fitted_on)
        self._checkpoint.save(self.model, state)
