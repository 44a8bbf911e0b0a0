"""Predict and explain golden images: the whole image, or a region computed from the image's size."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from edge_runtime.decision.verdict import Decision
from edge_runtime.golden.inputs import golden_region
from edge_runtime.images.reader import read
from edge_runtime.predictor import Predictor


def golden_map(predictor: Predictor, png: bytes, name: str, label: str | None) -> npt.NDArray[np.float32]:
    """Return the predictor's heatmap of a golden image, from its PNG bytes: float32 h×w."""
    region = None if predictor.spec.region is None else golden_region(read(png, name=name), predictor.spec)
    return predictor.explain(png, label=label, region=region, name=name).grid


def golden_decision(predictor: Predictor, png: bytes, name: str) -> Decision:
    """Return the predictor's decision on a golden image, from its PNG bytes, as edge-predict computes it."""
    region = None if predictor.spec.region is None else golden_region(read(png, name=name), predictor.spec)
    return predictor.predict(png, region=region, name=name).verdict.decision
