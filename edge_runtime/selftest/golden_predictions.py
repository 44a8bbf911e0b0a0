"""How golden images are asked about: as a whole, or about a region that follows from the image's size alone."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from edge_runtime.decision.verdict import Decision
from edge_runtime.golden.inputs import golden_region
from edge_runtime.images.reader import read
from edge_runtime.predictor import Predictor


def golden_map(predictor: Predictor, png: bytes, name: str, label: str | None) -> npt.NDArray[np.float32]:
    """Let the predictor explain a golden image from its bytes; return the map, float32 h×w."""
    region = None if predictor.spec.region is None else golden_region(read(png, name=name), predictor.spec)
    return predictor.explain(png, label=label, region=region, name=name).grid


def golden_decision(predictor: Predictor, png: bytes, name: str) -> Decision:
    """Let the predictor answer a golden image from its bytes, as edge-predict would."""
    region = None if predictor.spec.region is None else golden_region(read(png, name=name), predictor.spec)
    return predictor.predict(png, region=region, name=name).verdict.decision
