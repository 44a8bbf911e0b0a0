"""Write the tiles of a slide as GeoJSON, in the form that QuPath imports: a FeatureCollection of tile objects.

Coordinates are pixels of the full-resolution image, from its upper left corner, as QuPath's documentation says
(https://qupath.readthedocs.io/en/stable/docs/advanced/exporting_annotations.html). Each feature has the object type
``tile``, a classification with a name and a colour, and measurements.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from edge_runtime.decision.verdict import Decision
from edge_runtime.tiling.slide import SlidePrediction, Tile, TileFailure

COLOURS = {Decision.POSITIVE: (213, 94, 0), Decision.NEGATIVE: (0, 114, 178), Decision.REFER: (240, 228, 66)}
"""RGB of each decision: colours that people with any colour vision tell apart (Okabe and Ito 2008)."""
FAILED, FAILED_COLOUR = "FAILED", (0, 0, 0)


def write_geojson(path: Path, slide: SlidePrediction) -> None:
    """Write one feature a line: all classified tiles, then the tiles that failed."""
    with path.open("w", encoding="utf-8") as file:
        file.write('{"type": "FeatureCollection", "features": [')
        for number, feature in enumerate(features(slide)):
            file.write(",\n" if number else "\n")
            json.dump(feature, file, allow_nan=False)
        file.write("\n]}\n")


def features(slide: SlidePrediction) -> Iterator[dict[str, object]]:
    """Yield the features of a slide. Tiles left out as empty glass or at the edges have none."""
    for tile in slide.tiles:
        measurements = {"positive score": tile.score, "confidence": tile.confidence}
        if tile.familiarity is not None:
            measurements["familiarity"] = tile.familiarity
        properties = {
            **_properties(tile.decision.value, COLOURS[tile.decision]),
            "measurements": measurements,
            "metadata": {"reason": tile.reason.value},
        }
        yield _feature(slide, tile, properties)
    for failure in slide.failures:
        error = {"error": failure.error.code, "message": failure.error.message}
        yield _feature(slide, failure, {**_properties(FAILED, FAILED_COLOUR), "metadata": error})


def _properties(name: str, colour: tuple[int, int, int]) -> dict[str, object]:
    return {"objectType": "tile", "classification": {"name": name, "color": list(colour)}, "isLocked": True}


def _feature(slide: SlidePrediction, tile: Tile | TileFailure, properties: dict[str, object]) -> dict[str, object]:
    left, top = slide.level_0(tile.x_px), slide.level_0(tile.y_px)
    right = slide.level_0(tile.x_px + slide.grid.tile_width_px)
    below = slide.level_0(tile.y_px + slide.grid.tile_height_px)
    ring = [[left, top], [right, top], [right, below], [left, below], [left, top]]
    return {"type": "Feature", "geometry": {"type": "Polygon", "coordinates": [ring]}, "properties": properties}
