"""How golden pictures are asked about: as a whole, or about a region that follows from the picture's size alone."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from edge_runtime.decision import Decision
from edge_runtime.imaging import Picture, read
from edge_runtime.predictor import Predictor
from edge_runtime.region import Region, cut
from edge_runtime.spec import ModelSpec

_LEAST_HALF_PX = 16.0  # so that the smallest golden pictures, too, give more than the fewest pixels of a cut
_HALF_SHARE = 0.35


def golden_region(picture: Picture, spec: ModelSpec) -> Region | None:
    """Return the region that ``picture`` is asked about; None for a model that answers about whole pictures.

    It lies off the centre: squares of large pictures are cut from their inside, those of small ones reach over edges.
    """
    if spec.region is None:
        return None
    height, width = picture.pixels.shape[:2]
    half = max(_LEAST_HALF_PX, _HALF_SHARE * max(width, height))
    return Region((width - 1) * 0.4, (height - 1) * 0.6, half / spec.region.margin)


def golden_picture(png: bytes, name: str, spec: ModelSpec) -> Picture:
    """Return what the spec's steps see of a golden picture's PNG file."""
    picture = read(png, min_side_px=spec.min_side_px, name=name)
    return cut(picture, golden_region(picture, spec), spec.region)


def golden_map(predictor: Predictor, png: bytes, name: str, label: str | None) -> npt.NDArray[np.float32]:
    """Let the predictor explain a golden picture from its bytes; return the map, float32 h×w."""
    region = None if predictor.spec.region is None else golden_region(read(png, name=name), predictor.spec)
    return predictor.explain(png, label=label, region=region, name=name).grid


def golden_decision(predictor: Predictor, png: bytes, name: str) -> Decision:
    """Let the predictor answer a golden picture from its bytes, as edge-predict would."""
    region = None if predictor.spec.region is None else golden_region(read(png, name=name), predictor.spec)
    return predictor.predict(png, region=region, name=name).verdict.decision
