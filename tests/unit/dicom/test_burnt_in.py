"""Captions are found on dark and bright tissue, at every place of a large image; callipers and tissue are no text."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import pytest

from edge_runtime.dicom import burnt_in
from edge_runtime.dicom.burnt_in import has_text


def tissue(level: int, size: tuple[int, int] = (300, 400)) -> np.ndarray[Any, Any]:
    return np.clip(np.random.default_rng(1).normal(level, 12, size), 0, 255).astype(np.uint8)


def captioned(pixels: np.ndarray[Any, Any], text: str, y: int, x: int = 40) -> np.ndarray[Any, Any]:
    return cv2.putText(pixels.copy(), text, (x, y), cv2.FONT_HERSHEY_SIMPLEX, 0.6, 250, 2)


@pytest.mark.parametrize("level", [30, 100, 150, 190])
@pytest.mark.parametrize("text", ["LT UOQ", "DOE JANE", "RIGHT BREAST"])
def test_a_caption_is_found(text: str, level: int) -> None:
    pixels = captioned(tissue(level), text, 250)
    assert has_text(pixels) and has_text(np.stack([pixels] * 3, -1))


@pytest.mark.parametrize("level", [30, 100, 150, 190])
def test_tissue_and_callipers_are_no_text(level: int) -> None:
    pixels = tissue(level)
    for x, y in ((60, 80), (200, 120), (150, 60)):
        cv2.drawMarker(pixels, (x, y), 255, cv2.MARKER_CROSS, 11, 1)
    for x in range(60, 200, 6):  # a dotted line
        pixels[100:102, x : x + 2] = 255
    assert not has_text(pixels)


@pytest.mark.parametrize("y", [40, 195, 200, 205, 330, 580])
def test_bands_miss_no_caption_between_them(y: int, monkeypatch: pytest.MonkeyPatch) -> None:
    pixels = captioned(tissue(60, (600, 400)), "DOE JANE", y)
    monkeypatch.setattr(burnt_in, "_BAND_PIXELS", 400 * 256)
    assert has_text(pixels) and not has_text(tissue(60, (600, 400)))


def test_more_shapes_than_can_be_compared_count_as_text(monkeypatch: pytest.MonkeyPatch) -> None:
    pixels = captioned(tissue(30), "LT", 250)
    assert not has_text(pixels)
    monkeypatch.setattr(burnt_in, "_MOST_CHARACTERS", 1)
    assert has_text(pixels)
