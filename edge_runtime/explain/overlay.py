"""Draw an explanation over its image, as a PNG with colour bar, peak and legend."""

from __future__ import annotations

from collections.abc import Callable
from textwrap import wrap

import cv2
import numpy as np

from edge_runtime.bundle.saliency import Method
from edge_runtime.decision.verdict import Reason
from edge_runtime.explain import OPACITY
from edge_runtime.explain.drawing import WHITE, Pixels, bgr, colours, fitted, framed, png, with_bar
from edge_runtime.explain.explanation import Explanation
from edge_runtime.inference.prediction import NOTICE

SIDE_PX = 900
"""Longer side of the drawn image, in pixels. Larger images are reduced; smaller ones are enlarged by a whole factor."""

_CROSS_PX = 9
_LINE = 110  # characters of a line of the legend


def heatmap_png(explanation: Explanation, *, opacity: float = OPACITY) -> bytes:
    """Return the image with its heatmap, colour bar and legend, as the bytes of a PNG file.

    The map covers the network's input. The square of a marked region is outlined. A cross marks the largest value.

    Args:
        explanation: the explanation to draw.
        opacity: share of the heatmap in a pixel's colour, 0..1.

    Raises:
        EdgeError: the drawing is too large for a PNG.
    """
    return png(draw(explanation, opacity=opacity), explanation.picture.name)


def draw(explanation: Explanation, *, opacity: float = OPACITY) -> Pixels:
    """Return the drawing of :func:`heatmap_png`, uint8 H×W×3 BGR."""
    image = explanation.picture
    longer = max(image.pixels.shape[:2])
    below, factor = fitted(bgr(image), max(SIDE_PX // longer, 1) if longer <= SIDE_PX else SIDE_PX / longer)
    blended = _blend(below, explanation, opacity)
    _mark(blended, explanation, factor)
    return framed(with_bar(blended, None), _legend(explanation, factor))


def _blend(below: Pixels, explanation: Explanation, opacity: float) -> Pixels:
    size = below.shape[1], below.shape[0]
    whole = explanation.on_picture()
    seen = cv2.resize((~np.isnan(whole)).astype(np.uint8), size, interpolation=cv2.INTER_NEAREST).astype(bool)
    shares = np.asarray(cv2.resize(np.nan_to_num(whole), size, interpolation=cv2.INTER_LINEAR), dtype=np.float32)
    mixed = cv2.addWeighted(below, 1 - opacity, colours(shares), opacity, 0.0)
    return np.where(seen[..., np.newaxis], mixed, below)


def _mark(drawn: Pixels, explanation: Explanation, factor: float) -> None:
    """Outline the network's input, if it does not contain the whole image, and draw a cross at the largest value."""
    left, top, right, bottom = (round(side * factor) for side in explanation.box)
    if left > 0 or top > 0 or right < drawn.shape[1] or bottom < drawn.shape[0]:
        _twice(lambda ink, width: cv2.rectangle(drawn, (left, top), (right - 1, bottom - 1), ink, width))
    peak = explanation.peak()
    if peak is not None:
        x, y = (round((side + 0.5) * factor - 0.5) for side in peak)
        _twice(lambda ink, width: cv2.drawMarker(drawn, (x, y), ink, cv2.MARKER_CROSS, 2 * _CROSS_PX, width))


def _twice(stroke: Callable[[tuple[int, int, int], int], object]) -> None:
    """Draw a mark in white with a black border, which is visible on any background."""
    for level, width in ((0, 3), (WHITE, 1)):
        stroke((level, level, level), width)


def _legend(explanation: Explanation, factor: float) -> list[str]:
    prediction, verdict = explanation.prediction, explanation.prediction.verdict
    unfamiliar = verdict.reason is Reason.UNFAMILIAR_INPUT  # label and score have no meaning then
    label = "" if unfamiliar else f"{verdict.label}, score {verdict.score:.4f}, "
    return [
        f"{prediction.model} {prediction.version}: {label}{verdict.decision.value} ({verdict.reason.value})",
        _what(explanation),
        *(wrap(f"Note: {explanation.note()}", _LINE) if explanation.note() and not unfamiliar else ()),
        f"0..1: share of the map's largest value; cross: where that is; drawn at {factor:.3g} times the image's size",
        NOTICE,
    ]


def _what(explanation: Explanation) -> str:
    rows, columns = explanation.grid.shape
    cells = f"{rows}x{columns} cells of layer {explanation.layer}"
    if explanation.method is Method.EIGEN_CAM:
        return f"Eigen-CAM: strongest pattern in the features, whatever the label; {cells}"
    if explanation.method is Method.ATTENTION:
        return f"Attention: where the network looked for its evidence, whatever the label; {cells}"
    if explanation.blank:
        return f"Grad-CAM: no evidence for {explanation.label}; {cells}"
    return f"Grad-CAM: evidence for {explanation.label}; {cells}"
