"""A slide with the map of its scores drawn over it, as a PNG that explains itself: bar, cut-off, outlines, legend."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from edge_runtime.decision import Decision
from edge_runtime.errors import EdgeError
from edge_runtime.imaging import Picture
from edge_runtime.steps import ColourOrder
from edge_runtime.tiles.slide import SlidePrediction

Pixels = npt.NDArray[np.uint8]

SIDE_PX = 1200
"""The longer side of the drawn slide."""

_SHARE = 0.45
"""How much of a tile's colour is the map's; the rest is tissue."""

_MARGIN_PX, _BAR_PX, _PANEL_PX, _LINE_PX = 16, 24, 96, 22
_WHITE, _INK, _MISSING = 255, 40, 225
_FONT = cv2.FONT_HERSHEY_SIMPLEX


def overlay_png(picture: Picture, slide: SlidePrediction) -> bytes:
    """Return slide, scores, colour bar and legend as a PNG.

    Colours are cividis, whose lightness rises with the score and which reads the same with any colour vision
    (Nuñez et al. 2018, PLOS ONE 13:e0199239). POSITIVE tiles have a white outline within a black one, so that no
    meaning hangs on a colour alone; tiles without an answer are crossed out.

    Args:
        picture: the one that ``slide`` answers.
    """
    drawn = draw(picture, slide)
    done, data = cv2.imencode(".png", drawn)
    if not done:
        raise EdgeError(f"{picture.name}: the map of {drawn.shape} could not be written as PNG. Draw a smaller slide.")
    return data.tobytes()


def draw(picture: Picture, slide: SlidePrediction) -> Pixels:
    """Return what :func:`overlay_png` shows, uint8 H×W×3 BGR."""
    tissue, factor = _shrunk(_bgr(picture))
    blended = _blend(tissue, slide, factor)
    for tile in slide.positive:
        first, last = _corners(slide, tile.x_px, tile.y_px, factor)
        cv2.rectangle(blended, first, last, (0, 0, 0), 3)
        cv2.rectangle(blended, first, last, (_WHITE,) * 3, 1)
    for failure in slide.failures:
        first, last = _corners(slide, failure.x_px, failure.y_px, factor)
        cv2.line(blended, first, last, (_INK,) * 3, 1)
        cv2.line(blended, (first[0], last[1]), (last[0], first[1]), (_INK,) * 3, 1)
    height = max(len(blended), 120)
    canvas = np.full((height, blended.shape[1], 3), _WHITE, np.uint8)
    canvas[: len(blended)] = blended
    with_bar = np.concatenate([canvas, _bar(height, slide.cutoff)], axis=1)
    return _framed(with_bar, _legend(slide))


def _bgr(picture: Picture) -> Pixels:
    """Return the pixels for the eye alone; deeper ones lose their lower eight bits."""
    pixels = picture.pixels
    shown = np.asarray(pixels if pixels.dtype == np.uint8 else pixels >> 8, dtype=np.uint8)
    if picture.order is ColourOrder.GREY:
        return np.asarray(cv2.cvtColor(shown, cv2.COLOR_GRAY2BGR), dtype=np.uint8)
    return np.asarray(shown[..., ::-1] if picture.order is ColourOrder.RGB else shown, dtype=np.uint8)


def _shrunk(pixels: Pixels) -> tuple[Pixels, float]:
    factor = SIDE_PX / max(pixels.shape[:2])
    size = max(1, round(pixels.shape[1] * factor)), max(1, round(pixels.shape[0] * factor))
    kind = cv2.INTER_AREA if factor < 1 else cv2.INTER_NEAREST
    return np.asarray(cv2.resize(pixels, size, interpolation=kind), dtype=np.uint8), factor


def _corners(slide: SlidePrediction, x_px: int, y_px: int, factor: float) -> tuple[tuple[int, int], tuple[int, int]]:
    """Return a tile's first and last pixel in the drawn slide."""
    right, below = x_px + slide.grid.tile_width_px, y_px + slide.grid.tile_height_px
    return (round(x_px * factor), round(y_px * factor)), (round(right * factor) - 1, round(below * factor) - 1)


def _blend(tissue: Pixels, slide: SlidePrediction, factor: float) -> Pixels:
    """Lay each tile's colour over it; tiles that overlap show the later one."""
    colours, blended = _colours(slide.scores), tissue.copy()
    for tile in slide.tiles:
        (x, y), (right, below) = _corners(slide, tile.x_px, tile.y_px, factor)
        row, column = tile.y_px // slide.grid.step_px[1], tile.x_px // slide.grid.step_px[0]
        area = slice(y, below + 1), slice(x, right + 1)
        blended[area] = np.rint(tissue[area] * (1 - _SHARE) + colours[row, column] * _SHARE)
    return blended


def _colours(scores: npt.NDArray[np.float32]) -> Pixels:
    levels = np.rint(np.nan_to_num(scores, nan=0.0).clip(0, 1) * 255).astype(np.uint8)
    colours = np.asarray(cv2.applyColorMap(levels, cv2.COLORMAP_CIVIDIS), dtype=np.uint8)
    colours[np.isnan(scores)] = _MISSING
    return colours


def _bar(height: int, cutoff: float) -> Pixels:
    """A bar from 0 (below) to 1 (above) with the cut-off marked; uint8 height×96×3."""
    panel = np.full((height, _PANEL_PX, 3), _WHITE, dtype=np.uint8)
    left, right = _MARGIN_PX, _MARGIN_PX + _BAR_PX
    panel[:, left:right] = _colours(np.linspace(1, 0, height, dtype=np.float32)[:, np.newaxis])
    for score in (0.0, 1.0):
        _write(panel, f"{score:g}", (right + 6, int(np.clip((1 - score) * height, 14, height - 4))))
    y = int(np.clip((1 - cutoff) * height, 1, height - 2))
    cv2.line(panel, (left - 6, y), (right + 6, y), (0, 0, 0), 2)
    _write(panel, f"{cutoff:.2f}", (right + 8, int(np.clip(y + 5, 32, height - 22))))
    return panel


def _legend(slide: SlidePrediction) -> list[str]:
    case, grid = slide.case, slide.grid
    whole = f"{case.decision.value} ({case.reason.value})" if case else "no decision: the model has no rule for it"
    counts = ", ".join(f"{slide.count(decision)} {decision.value}" for decision in Decision)
    return [
        f"{slide.model} {slide.version}: positive score 0..1 of each tile; black line on the bar: cut-off",
        f"outlined: POSITIVE; crossed out: no answer ({len(slide.failures)}); left out at the edge: {grid.left_out}",
        f"{counts}; whole slide: {whole}",
        "Decision support for trained people, not a diagnosis and not a medical device.",
    ]


def _framed(drawn: Pixels, lines: list[str]) -> Pixels:
    """Put a white margin around and the legend below; as wide as its longest line."""
    text_px = max(cv2.getTextSize(line, _FONT, 0.5, 1)[0][0] for line in lines)
    width = max(drawn.shape[1], text_px) + 2 * _MARGIN_PX
    height = len(drawn) + 2 * _MARGIN_PX + _LINE_PX * len(lines)
    framed = np.full((height, width, 3), _WHITE, dtype=np.uint8)
    framed[_MARGIN_PX : _MARGIN_PX + len(drawn), _MARGIN_PX : _MARGIN_PX + drawn.shape[1]] = drawn
    for i, line in enumerate(lines):
        _write(framed, line, (_MARGIN_PX, len(drawn) + _MARGIN_PX + _LINE_PX * (i + 1)))
    return framed


def _write(pixels: Pixels, text: str, place: tuple[int, int]) -> None:
    cv2.putText(pixels, text, place, _FONT, 0.5, (_INK,) * 3, 1, cv2.LINE_AA)
