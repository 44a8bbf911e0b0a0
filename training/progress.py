"""A progress line for fitting: epochs, batches, time left, and the best validation loss so far."""

from __future__ import annotations

import sys
from typing import Any

import keras
from tqdm import tqdm


class FitProgress(keras.callbacks.Callback):  # type: ignore[misc]  # Keras ships no types
    """Draw one bar over all batches on a terminal; in a pipe, print nothing."""

    def __init__(self, epochs: int, batches: int) -> None:
        super().__init__()
        self._epochs, self._batches = epochs, batches
        self._best = float("inf")

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Open the bar."""
        self._bar = tqdm(total=self._epochs * self._batches, unit="batch", disable=None, file=sys.stderr)

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Say which epoch runs."""
        self._bar.set_description(f"epoch {epoch + 1}/{self._epochs}")

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Count one batch."""
        self._bar.update()

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Show the epoch's validation figures and the best so far."""
        logs = logs or {}
        self._best = min(self._best, float(logs.get("val_loss", self._best)))
        self._bar.set_postfix(
            val_loss=f"{logs.get('val_loss', float('nan')):.4f}",
            best=f"{self._best:.4f}",
            val_accuracy=f"{logs.get('val_accuracy', float('nan')):.3f}",
        )

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        """Close the bar; early stopping may leave it short."""
        self._bar.close()
