"""Which model answers where the caller names none."""

from __future__ import annotations

import os

DEFAULT_MODEL = "idc-patch-compact"
"""It ships, and is for H&E breast tissue patches; ``edge-bundle list`` shows what each other one is for."""

MODEL_VARIABLE = "EDGE_PREDICT_MODEL"
"""The environment variable that names another default, by name or path; empty, it names none."""


def model_in_force() -> str:
    """Return the model that the environment names, else ``DEFAULT_MODEL``."""
    return os.environ.get(MODEL_VARIABLE) or DEFAULT_MODEL
