"""The Keras side: the graph that is exported, and the logits that every file is held against."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np


def load_to_logits(model_path: str) -> Any:
    """Load a Keras model and cut it at its layer ``logits``."""
    from training.keras_model import load_model, logits_model  # here: a framework belongs into the child processes

    return logits_model(load_model(Path(model_path)))


def write_logits(model_path: str, tensors_path: str, out: str) -> None:
    """Save the model's logits, float32 N×outputs, for saved tensors, float32 N×H×W×C."""
    logits = load_to_logits(model_path).predict(np.load(tensors_path), verbose=0)
    np.save(Path(out), np.asarray(logits, dtype=np.float32))
