"""A progress line for fitting: epochs, batches, time left, and the best validation loss so far."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import keras
from tqdm import tqdm


class FitProgress(keras.callbacks.Callback):  # type: ignore[misc]  # Keras ships no types
    """Draw one bar over all batches on a terminal; in a pipe, print nothing.

    Args:
        epochs, batches: epochs of the whole fit, and batches of one.
        done: validation losses of the epochs that were fitted before, where a fit is continued.
    """

    def __init__(self, epochs: int, batches: int, done: Sequence[float] = ()) -> None:
        super().__init__()
        self._epochs, self._batches, self._done = epochs, batches, len(done)
        self._best = min(done, default=float("inf"))
        self._bar: tqdm[Any] | None = None

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Open the bar where the fit begins; the time left is reckoned from the batches of this run alone."""
        batches = self._batches
        total, done = self._epochs * batches, self._done * batches
        self._bar = tqdm(total=total, initial=done, unit="batch", disable=None, file=sys.stderr)
        if self._done:
            self._bar.set_postfix(best=f"{self._best:.4f}")

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Say which epoch runs."""
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
        """Close the bar; early stopping may leave it short."""
        self.close()

    def close(self) -> None:
        """Close the bar, so that what is said next has a line of its own; may be called again."""
        if self._bar is not None:
            self._bar.close()
