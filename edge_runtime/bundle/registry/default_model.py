"""The default model, used where the caller names none."""

from __future__ import annotations

import os

DEFAULT_MODEL = "idc-patch-compact"
"""A shipped model for H&E breast tissue patches; ``edge-bundle list`` shows the purpose of each model."""

MODEL_VARIABLE = "EDGE_PREDICT_MODEL"
"""Environment variable with the name or path of another default model; an empty value has no effect."""


def model_in_force() -> str:
    """Return the model in the environment variable, or ``DEFAULT_MODEL``."""
    return os.environ.get(MODEL_VARIABLE) or DEFAULT_MODEL
