"""Progress bar of a fit: epochs, batches, time left, and the best validation loss so far."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import keras
from tqdm import tqdm


class FitProgress(keras.callbacks.Callback):  # type: ignore[misc]  # Keras ships no types
    """Show one bar over all batches on a terminal; print nothing if stderr is not a terminal.

    Args:
        epochs, batches: number of epochs in the whole fit, and of batches in an epoch.
        done: validation losses of the epochs fitted before, if a fit is continued.
    """

    def __init__(self, epochs: int, batches: int, done: Sequence[float] = ()) -> None:
        super().__init__()
        self._epochs, self._batches, self._done = epochs, batches, len(done)
        self._best = min(done, default=float("inf"))
        self._bar: tqdm[Any] | None = None

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Open the bar at the first epoch of this run. The time left is estimated from this run's batches only."""
        batches = self._batches
        total, done = self._epochs * batches, self._done * batches
        self._bar = tqdm(total=total, initial=done, unit="batch", disable=None, file=sys.stderr)
        if self._done:
            self._bar.set_postfix(best=f"{self._best:.4f}")

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Show the number of the epoch."""
        if self._bar is not None:
            self._bar.set_description(f"epoch {epoch + 1}/{self._epochs}")

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Count one batch."""
        if self._bar is not None:
            self._bar.update()

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Show the epoch's validation figures and the best so far."""
        logs = logs or {}
        self._best = min(self._best, float(logs.get("val_loss", self._best)))
        if self._bar is not None:
            self._bar.set_postfix(
                val_loss=f"{logs.get('val_loss', float('nan')):.4f}",
                best=f"{self._best:.4f}",
                val_accuracy=f"{logs.get('val_accuracy', float('nan')):.3f}",
            )

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        """Close the bar, which early stopping may leave incomplete."""
        self.close()

    def close(self) -> None:
        """Close the bar, so that the next message starts on a new line. Repeated calls have no effect."""
        if self._bar is not None:
            self._bar.close()
