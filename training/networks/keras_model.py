"""The Keras model of an artifact, whole and cut at its logits."""

from __future__ import annotations

from pathlib import Path

import keras

from training.errors import ArtifactError


def load_model(path: Path) -> keras.Model:
    """Open a saved Keras model.

    Raises:
        ArtifactError: it is missing or Keras cannot read it.
    """
    try:
        return keras.models.load_model(path, compile=False)
    except (ValueError, OSError) as error:
        raise ArtifactError(f"{path}: expected a Keras 3 model, found: {error}") from None


def logits_model(model: keras.Model) -> keras.Model:
    """Return ``model`` cut at its layer ``logits``."""
    return keras.Model(model.inputs, model.get_layer("logits").output)
