"""Text that is burnt into the pixels of an image.

An object that says Burned In Annotation YES (PS3.3 C.7.6.1.1.4) is refused where the whole image is used. Of an
ultrasound frame, that attribute speaks of the screen around the region too. There, unless it says NO, the region is
searched by this rule:

1. A pixel is a stroke if it is at least 80 levels brighter than the median of the 31×31 pixels around it, or if one of
   its channels differs from another by 96 or more. A second search, for text on bright tissue, takes pixels of 225
   levels or more that are at least 40 brighter.
2. Strokes that touch form a shape. A shape is a character if it is 6 to 40 pixels high, at most 1.5 times as wide as
   high, and covers 12 to 85 % of its rectangle.
3. Four or more characters in a row are text: their lower edges differ by at most a fifth of their height, their heights
   by at most a third, and the gaps between them are at most as wide as they are high.

Callipers and dotted lines are no text. The rule does not find text that is darker than its surroundings.
docs/reference/dicom.md has the figures. Large images are searched in bands of rows, which overlap by more than the
height of a row of characters.
"""

from __future__ import annotations

from bisect import bisect_left

import cv2
import numpy as np
import numpy.typing as npt

LEAST_CHARACTERS = 4

_BRIGHTER, _COLOURED, _WINDOW_PX = 80, 96, 31
_BRIGHT, _LESS_BRIGHTER = 225, 40
_LEAST_HIGH, _MOST_HIGH = 6, 40
_LEAST_FULL, _MOST_FULL = 0.12, 0.85
_REACH_PX = 102  # of two neighbours: the widest character, and the widest gap after it
_BAND_PIXELS, _OVERLAP_ROWS = 4_000_000, 128
_MOST_CHARACTERS = 8_000  # of one band, compared with one another; with more of them the image is no tissue

Levels = npt.NDArray[np.uint8]


def has_text(pixels: Levels) -> bool:
    """Return whether an image (uint8 H×W or H×W×3) shows a row of characters."""
    height, width = pixels.shape[:2]
    rows = max(_BAND_PIXELS // width, 2 * _OVERLAP_ROWS)
    starts = range(0, max(height - _OVERLAP_ROWS, 1), rows - _OVERLAP_ROWS)
    return any(_band_has_text(pixels[start : start + rows]) for start in starts)


def _band_has_text(pixels: Levels) -> bool:
    grey = np.ascontiguousarray(pixels if pixels.ndim == 2 else pixels.max(axis=2))
    brighter = cv2.subtract(grey, cv2.medianBlur(grey, _WINDOW_PX))
    coloured = np.zeros(grey.shape, bool)
    if pixels.ndim == 3:
        coloured = pixels.max(axis=2) - pixels.min(axis=2) >= _COLOURED
    on_dark, on_bright = brighter >= _BRIGHTER, (brighter >= _LESS_BRIGHTER) & (grey >= _BRIGHT)
    for strokes in (on_dark, on_bright):
        boxes = _characters(strokes | coloured)
        if len(boxes) > _MOST_CHARACTERS or _longest_row(boxes) >= LEAST_CHARACTERS:
            return True
    return False


def _characters(strokes: npt.NDArray[np.bool_]) -> list[tuple[int, int, int, int]]:
    """Return x, y, width and height of the shapes that may be characters, in order of x."""
    _, _, found, _ = cv2.connectedComponentsWithStats(strokes.view(np.uint8), connectivity=8)
    boxes = sorted(
        (int(x), int(y), int(wide), int(high))
        for x, y, wide, high, area in found[1:]
        if _is_character(wide, high, area)
    )
    return boxes


def _is_character(wide: int, high: int, area: int) -> bool:
    return (
        _LEAST_HIGH <= high <= _MOST_HIGH
        and wide <= 1.5 * high
        and _LEAST_FULL * wide * high <= area <= _MOST_FULL * wide * high
    )


def _longest_row(boxes: list[tuple[int, int, int, int]]) -> int:
    """Return the number of characters in the longest row; ``boxes`` are x, y, width and height, in order of x."""
    best = [1] * len(boxes)
    for second, (x, y, _, high) in enumerate(boxes):
        for first in range(bisect_left(boxes, (x - _REACH_PX,)), second):
            left, top, wide, before = boxes[first]
            tall = max(high, before)
            if (
                0 <= x - left - wide + 1 <= tall + 1
                and abs(high - before) * 3 <= tall
                and abs(y + high - top - before) * 5 <= tall
            ):
                best[second] = max(best[second], best[first] + 1)
    return max(best, default=0)
