"""Load the Keras model of an artifact, and cut it at its logits."""

from __future__ import annotations

from pathlib import Path

import keras

from training.errors import ArtifactError


def load_model(path: Path) -> keras.Model:
    """Load a saved Keras model.

    Raises:
        ArtifactError: the file is missing, or Keras cannot read it.
    """
    try:
        return keras.models.load_model(path, compile=False)
    except (ValueError, OSError) as error:
        raise ArtifactError(f"{path}: expected a Keras 3 model, found: {error}") from None


def logits_model(model: keras.Model) -> keras.Model:
    """Return ``model`` cut at its layer ``logits``."""
    return keras.Model(model.inputs, model.get_layer("logits").output)
