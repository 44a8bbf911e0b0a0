"""Draw a slide with its tile scores as a PNG, with colour bar, cut-off, outlines and legend."""

from __future__ import annotations

import cv2
import numpy as np

from edge_runtime.decision.verdict import Decision
from edge_runtime.explain import OPACITY
from edge_runtime.explain.drawing import INK, WHITE, Pixels, bgr, colours, fitted, framed, png, with_bar
from edge_runtime.images.reader import DecodedImage
from edge_runtime.inference.prediction import NOTICE
from edge_runtime.tiling.lazy_image import LazyImage
from edge_runtime.tiling.slide import SlidePrediction

SIDE_PX = 1200
"""The longer side of the drawn slide."""


def overlay_png(image: DecodedImage, slide: SlidePrediction) -> bytes:
    """Return the slide with its scores, a colour bar and a legend as a PNG.

    Regions of touching POSITIVE tiles have a white outline inside a black one, so that they can be seen without colour.
    Tiles without a result are crossed out.

    Args:
        image: the image that ``slide`` was computed from.
    """
    return png(draw(image, slide), image.name)


def draw(image: DecodedImage, slide: SlidePrediction) -> Pixels:
    """Return the pixels of :func:`overlay_png`, uint8 H×W×3 BGR."""
    tissue, factor = _fitted(image)
    blended = _blend(tissue, slide, factor)
    _outline(blended, slide, factor)
    for failure in slide.failures:
        first, last = _corners(slide, failure.x_px, failure.y_px, factor)
        cv2.line(blended, first, last, (INK,) * 3, 1)
        cv2.line(blended, (first[0], last[1]), (last[0], first[1]), (INK,) * 3, 1)
    return framed(with_bar(blended, slide.cutoff), _legend(slide))


def _fitted(image: DecodedImage) -> tuple[Pixels, float]:
    """Return the image as it is drawn, and the drawn pixels per pixel of the image."""
    longer = max(image.pixels.shape[:2])
    if not isinstance(image, LazyImage):
        return fitted(bgr(image), SIDE_PX / longer)
    shown = image.overview(SIDE_PX)
    return fitted(shown, SIDE_PX / max(shown.shape[:2]))[0], SIDE_PX / longer


def _corners(slide: SlidePrediction, x_px: int, y_px: int, factor: float) -> tuple[tuple[int, int], tuple[int, int]]:
    """Return the first and the last pixel (x, y) of a tile in the drawn slide."""
    right, below = x_px + slide.grid.tile_width_px, y_px + slide.grid.tile_height_px
    return (round(x_px * factor), round(y_px * factor)), (round(right * factor) - 1, round(below * factor) - 1)


def _blend(tissue: Pixels, slide: SlidePrediction, factor: float) -> Pixels:
    """Blend the colour of each tile over the slide. Where tiles overlap, the later one is drawn."""
    blended = tissue.copy()
    tints = colours(np.array([[tile.score for tile in slide.tiles]], np.float32))
    for number, tile in enumerate(slide.tiles):
        (x, y), (right, below) = _corners(slide, tile.x_px, tile.y_px, factor)
        area = slice(y, max(below, y) + 1), slice(x, max(right, x) + 1)  # a pixel at least
        blended[area] = np.rint(tissue[area] * (1 - OPACITY) + tints[0, number] * OPACITY)
    return blended


def _outline(drawn: Pixels, slide: SlidePrediction, factor: float) -> None:
    """Draw lines around regions of POSITIVE tiles. Lines around every tile would hide the scores of small ones."""
    region = np.zeros(drawn.shape[:2], np.uint8)
    for tile in slide.positive:
        cv2.rectangle(region, *_corners(slide, tile.x_px, tile.y_px, factor), 1, cv2.FILLED)
    lines, _ = cv2.findContours(region, cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
    cv2.drawContours(drawn, lines, -1, (0, 0, 0), 3)
    cv2.drawContours(drawn, lines, -1, (WHITE,) * 3, 1)


def _legend(slide: SlidePrediction) -> list[str]:
    case, grid = slide.case, slide.grid
    whole = f"{case.decision.value} ({case.reason.value})" if case else "no decision: the model has no rule for it"
    counts = ", ".join(f"{slide.count(decision)} {decision.value}" for decision in Decision)
    white = "" if slide.white is None else f"; empty glass: {slide.white}"
    tile = "each tile" if slide.neighbours is None else f"each tile and its neighbours (weight {slide.neighbours:g})"
    return [
        f"{slide.model} {slide.version}: positive score 0..1 of {tile}; black line on the bar: cut-off",
        f"outlined: POSITIVE; crossed out: no answer ({len(slide.failures)}); left out at the edge: {grid.left_out}"
        f"{white}",
        f"{counts}; whole slide: {whole}",
        NOTICE,
    ]
