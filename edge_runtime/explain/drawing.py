"""Drawing functions for heatmaps: colours, scale, frame and legend, with OpenCV only."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from edge_runtime.errors import EdgeError
from edge_runtime.images.colour import ColourOrder
from edge_runtime.images.reader import DecodedImage

Pixels = npt.NDArray[np.uint8]

WHITE, INK = 255, 40
_MARGIN_PX, _BAR_PX, _PANEL_PX, _LINE_PX = 16, 24, 96, 22
_LEAST_PX = 120
_MISSING = 225
_FONT = cv2.FONT_HERSHEY_SIMPLEX


def bgr(image: DecodedImage) -> Pixels:
    """Return the image as uint8 H×W×3 BGR, for display only; 16-bit pixels lose their lower eight bits."""
    pixels = image.pixels
    shown = np.asarray(pixels if pixels.dtype == np.uint8 else pixels >> 8, dtype=np.uint8)
    if image.order is ColourOrder.GREY:
        return np.asarray(cv2.cvtColor(shown, cv2.COLOR_GRAY2BGR), dtype=np.uint8)
    return np.asarray(shown[..., ::-1] if image.order is ColourOrder.RGB else shown, dtype=np.uint8)


def fitted(pixels: Pixels, factor: float) -> tuple[Pixels, float]:
    """Return the pixels scaled by ``factor``, and the factor; averaged when smaller, repeated when larger."""
    size = max(1, round(pixels.shape[1] * factor)), max(1, round(pixels.shape[0] * factor))
    kind = cv2.INTER_AREA if factor < 1 else cv2.INTER_NEAREST
    return np.asarray(cv2.resize(pixels, size, interpolation=kind), dtype=np.uint8), factor


def colours(scores: npt.NDArray[np.float32]) -> Pixels:
    """Return the colour of each value, uint8 H×W×3 BGR.

    The colour map is cividis. Its lightness rises with the value, and it looks the same with any colour vision (Nuñez
    et al. 2018, PLOS ONE 13:e0199239).

    Args:
        scores: float32 H×W, 0..1; NaN becomes light grey.
    """
    levels = np.rint(np.nan_to_num(scores, nan=0.0).clip(0, 1) * 255).astype(np.uint8)
    colours = np.asarray(cv2.applyColorMap(levels, cv2.COLORMAP_CIVIDIS), dtype=np.uint8)
    colours[np.isnan(scores)] = _MISSING
    return colours


def with_bar(drawn: Pixels, mark: float | None) -> Pixels:
    """Return the drawing with a colour bar on its right, from 0 (bottom) to 1 (top), and a black line at ``mark``."""
    height = max(len(drawn), _LEAST_PX)
    canvas = np.full((height, drawn.shape[1], 3), WHITE, np.uint8)
    canvas[: len(drawn)] = drawn
    return np.concatenate([canvas, _bar(height, mark)], axis=1)


def _bar(height: int, mark: float | None) -> Pixels:
    panel = np.full((height, _PANEL_PX, 3), WHITE, dtype=np.uint8)
    left, right = _MARGIN_PX, _MARGIN_PX + _BAR_PX
    panel[:, left:right] = colours(np.linspace(1, 0, height, dtype=np.float32)[:, np.newaxis])
    for value in (0.0, 1.0):
        write(panel, f"{value:g}", (right + 6, int(np.clip((1 - value) * height, 14, height - 4))))
    if mark is not None:
        y = int(np.clip((1 - mark) * height, 1, height - 2))
        cv2.line(panel, (left - 6, y), (right + 6, y), (0, 0, 0), 2)
        write(panel, f"{mark:.2f}", (right + 8, int(np.clip(y + 5, 32, height - 22))))
    return panel


def framed(drawn: Pixels, lines: list[str]) -> Pixels:
    """Return the drawing with a white margin and the legend below, as wide as its longest line."""
    text_px = max(cv2.getTextSize(line, _FONT, 0.5, 1)[0][0] for line in lines)
    width = max(drawn.shape[1], text_px) + 2 * _MARGIN_PX
    height = len(drawn) + 2 * _MARGIN_PX + _LINE_PX * len(lines)
    framed = np.full((height, width, 3), WHITE, dtype=np.uint8)
    framed[_MARGIN_PX : _MARGIN_PX + len(drawn), _MARGIN_PX : _MARGIN_PX + drawn.shape[1]] = drawn
    for i, line in enumerate(lines):
        write(framed, line, (_MARGIN_PX, len(drawn) + _MARGIN_PX + _LINE_PX * (i + 1)))
    return framed


def write(pixels: Pixels, text: str, place: tuple[int, int]) -> None:
    """Draw a line of text into ``pixels``; ``place`` is x and y of the left end of its base line."""
    cv2.putText(pixels, text, place, _FONT, 0.5, (INK,) * 3, 1, cv2.LINE_AA)


def png(drawn: Pixels, name: str) -> bytes:
    """Return the bytes of a drawing as a PNG file.

    Raises:
        EdgeError: the drawing is too large for a PNG.
    """
    done, data = cv2.imencode(".png", drawn)
    if not done:
        raise EdgeError(f"{name}: found a drawing of {drawn.shape}, too large for a PNG. Use a smaller image.")
    return data.tobytes()
