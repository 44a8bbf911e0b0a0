"""A model of one sigmoid with a cut-off of 0.5: a score is 1/(1+e^-z), and a decision is the sign of z."""

from __future__ import annotations

import math

import numpy as np

from edge_runtime.bundle.manifest import FileEntry, Format, Precision, Role
from edge_runtime.bundle.policy import DecisionPolicy, Head
from edge_runtime.bundle.spec import ModelSpec, ParityTolerance
from edge_runtime.images.colour import ColourOrder
from edge_runtime.inference.backends.base import Runtime
from edge_runtime.preprocessing.steps import Colour, Interpolation, PixelType, Resize
from export.validation.parity import FileLogits

STEPS = (Colour(ColourOrder.RGB), Resize(8, 8, Interpolation.LINEAR_EXACT, PixelType.UINT8))
TOLERANCE = ParityTolerance(float32_logit_max=0.01, int8_score_mean=0.02, int8_flips_per_1000=5.0)
SPEC = ModelSpec(
    "some-model",
    "1.0.0",
    "for tests",
    STEPS,
    ("a", "b"),
    ("b",),
    Head.SIGMOID,
    DecisionPolicy(0.5, 0.0),
    tolerance=TOLERANCE,
)


def sigmoid(z: float) -> float:
    return 1 / (1 + math.exp(-z))


def logit(score: float) -> float:
    return math.log(score / (1 - score))


def column(*values: float) -> np.ndarray:
    return np.array(values, np.float32).reshape(-1, 1)


def answers(precision: Precision, logits: np.ndarray) -> FileLogits:
    entry = FileEntry("model.onnx", Role.MODEL, "0" * 64, 1, Format.ONNX, precision)
    return FileLogits(entry, Runtime.ONNXRUNTIME, logits)
