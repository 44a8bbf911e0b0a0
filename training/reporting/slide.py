"""Assembles a slide from its patches, and draws it beside the map of their scores."""

from __future__ import annotations

import re
from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt

from edge_runtime.images.colour import ColourOrder
from edge_runtime.images.reader import read
from training.data.datasets import Sample
from training.errors import DatasetError

Pixels = npt.NDArray[np.uint8]
ScoreMap = npt.NDArray[np.float32]

PATCH_PX = 50
"""Grid of the published IDC patches (Janowczyk & Madabhushi 2016); patches at the edge of a slide are smaller."""

_PLACE = re.compile(r"_x(\d+)_y(\d+)_")
_PANEL_PX, _GAP_PX, _BAR_PX, _SCALE_PX = 900, 24, 28, 96
_WHITE, _MISSING, _INK = 255, 225, 40


def join_slide(samples: Sequence[Sample], scores: npt.NDArray[np.float64]) -> tuple[Pixels, ScoreMap]:
    """Assemble the patches of one patient by the places in their names (``…_x<X>_y<Y>_…``).

    Args:
        samples: patches of one patient, of at most 50×50 px.
        scores: float64 N, 0..1, in the order of ``samples``.

    Returns:
        The slide, uint8 H×W×3 RGB, white where there is no patch; and its score map, float32 rows×columns, 0..1, one
        cell for each patch, nan where there is no patch. Both start at the smallest x and y.

    Raises:
        DatasetError: no patch, several patients, a name without place, two patches in one place, a patch too large.
        ImageError: a patch cannot be read.
    """
    patients = sorted({sample.group for sample in samples})
    if len(patients) != 1 or len(samples) != len(scores):
        raise DatasetError(
            f"slide: found {len(samples)} patches of {len(patients)} patients and {len(scores)} scores, expected "
            "patches of one patient and one score for each patch."
        )
    places = np.array([_place(sample) for sample in samples])
    corners = places - places.min(axis=0)
    columns, rows = corners.max(axis=0) // PATCH_PX + 1
    mosaic = np.full((rows * PATCH_PX, columns * PATCH_PX, 3), _WHITE, dtype=np.uint8)
    cells = np.full((rows, columns), np.nan, dtype=np.float32)
    for sample, (x, y), score in zip(samples, corners, scores, strict=True):
        row, column = y // PATCH_PX, x // PATCH_PX
        if not np.isnan(cells[row, column]):
            raise DatasetError(f"{sample.name}: found two patches at this place, expected one. Give each patch once.")
        pixels = _rgb(sample)
        mosaic[y : y + len(pixels), x : x + pixels.shape[1]] = pixels[: len(mosaic) - y, : mosaic.shape[1] - x]
        cells[row, column] = score
    return mosaic, cells


def slide_png(samples: Sequence[Sample], scores: npt.NDArray[np.float64]) -> bytes:
    """Return slide, score map and colour scale of one patient as a PNG.

    Arguments and errors are those of :func:`join_slide`.
    """
    drawn = draw_slide(*join_slide(samples, scores))
    done, data = cv2.imencode(".png", drawn[..., ::-1])
    if not done:
        raise DatasetError(f"slide of {samples[0].group}: an image of {drawn.shape} px could not be written as PNG.")
    return data.tobytes()


def has_place(sample: Sample) -> bool:
    """Return whether the file name contains the place of the patch on the slide."""
    return _PLACE.search(sample.path.name) is not None


def _place(sample: Sample) -> tuple[int, int]:
    found = _PLACE.search(sample.path.name)
    if found is None:
        raise DatasetError(f"{sample.name}: found no place in the file name, expected …_x<X>_y<Y>_….")
    return int(found[1]), int(found[2])


def _rgb(sample: Sample) -> Pixels:
    """Read a patch as uint8 h×w×3 RGB, each side at most :data:`PATCH_PX`."""
    image = read(sample.path)
    pixels = image.pixels
    if pixels.dtype != np.uint8 or max(pixels.shape[:2]) > PATCH_PX:
        raise DatasetError(
            f"{sample.name}: found {pixels.dtype} of {pixels.shape}, expected uint8 of at most {PATCH_PX} px a side."
        )
    if image.order is ColourOrder.GREY:
        return np.repeat(pixels[..., np.newaxis], 3, axis=2).astype(np.uint8)
    return np.asarray(pixels[..., ::-1] if image.order is ColourOrder.BGR else pixels, dtype=np.uint8)


def draw_slide(mosaic: Pixels, cells: ScoreMap) -> Pixels:
    """Return slide, score map and colour scale side by side, uint8 RGB, each panel at most 900 px a side.

    The colour map is cividis: its lightness increases with the score, and it suits any colour vision (Nuñez et al.
    2018, PLOS ONE 13:e0199239). Cells without a patch are light grey.

    Args:
        mosaic: uint8 H×W×3 RGB, from :func:`join_slide`.
        cells: float32 rows×columns, 0..1 or nan.
    """
    factor = _PANEL_PX / max(mosaic.shape[:2])
    size = max(1, round(mosaic.shape[1] * factor)), max(1, round(mosaic.shape[0] * factor))
    slide = cv2.resize(mosaic, size, interpolation=cv2.INTER_AREA if factor < 1 else cv2.INTER_NEAREST)
    scores = cv2.resize(_colours(cells), size, interpolation=cv2.INTER_NEAREST)
    gap = np.full((size[1], _GAP_PX, 3), _WHITE, dtype=np.uint8)
    return np.concatenate([slide, gap, scores, gap, _scale(size[1])], axis=1).astype(np.uint8)


def _colours(cells: ScoreMap) -> Pixels:
    levels = np.rint(np.nan_to_num(cells, nan=0.0).clip(0, 1) * 255).astype(np.uint8)
    colours = cv2.applyColorMap(levels, cv2.COLORMAP_CIVIDIS)[..., ::-1].copy()
    colours[np.isnan(cells)] = _MISSING
    return np.asarray(colours, dtype=np.uint8)


def _scale(height: int) -> Pixels:
    """Return the labelled colour scale from 0 (bottom) to 1 (top), uint8 height×96×3 RGB."""
    panel = np.full((height, _SCALE_PX, 3), _WHITE, dtype=np.uint8)
    panel[:, :_BAR_PX] = _colours(np.linspace(1, 0, height, dtype=np.float32)[:, np.newaxis])
    for score in (0.0, 0.5, 1.0):
        y = int(np.clip((1 - score) * height + 8, 20, height - 4))
        place = (_BAR_PX + 8, y)
        cv2.putText(panel, f"{score:g}", place, cv2.FONT_HERSHEY_SIMPLEX, 0.7, (_INK,) * 3, 2, cv2.LINE_AA)
    return panel
