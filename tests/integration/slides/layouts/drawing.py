"""Tissue, and its tiles as JPEG images that every decoder reads to the same pixels."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import cv2
import numpy as np

Pixels = np.ndarray[Any, np.dtype[np.uint8]]
TILE = 256


def tissue(height: int, width: int, seed: int = 93) -> Pixels:
    """Coloured grain that grows rougher downwards and darker to the right, uint8 RGB."""
    rng = np.random.default_rng(seed)
    ground = np.linspace(205, 60, width)[np.newaxis, :, np.newaxis] * np.array([1.0, 0.75, 0.9])
    grain = rng.normal(0, 1, (height, width, 3)) * np.linspace(0, 12, height)[:, np.newaxis, np.newaxis]
    return (ground + grain).clip(0, 255).astype(np.uint8)


def pyramid(height: int, width: int, *steps: int) -> list[Pixels]:
    """Tissue, and every second, fourth … pixel of it."""
    fine = tissue(height, width)
    return [fine, *(np.ascontiguousarray(fine[::step, ::step]) for step in steps)]


def jpeg(pixels: Pixels, *, restart: int = 0) -> bytes:
    """Encode RGB as JPEG. Colours are not subsampled, so that a decoder needs no neighbours beyond a block.

    Args:
        pixels: uint8 H×W×3 RGB.
        restart: blocks of eight pixels between two restart markers; 0 for none.
    """
    options = [cv2.IMWRITE_JPEG_QUALITY, 90, cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444]
    found, data = cv2.imencode(".jpg", pixels[..., ::-1], [*options, cv2.IMWRITE_JPEG_RST_INTERVAL, restart])
    assert found
    return data.tobytes()


def decoded(data: bytes) -> Pixels:
    """Decode a JPEG image to RGB by another library than the one under test."""
    found = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    assert found is not None
    return np.ascontiguousarray(found[..., ::-1], dtype=np.uint8)


def tiles(pixels: Pixels, tile: int = TILE) -> Iterator[Pixels]:
    """Yield whole tiles, row by row; what lies beyond the edge is white."""
    height, width = pixels.shape[:2]
    for top in range(0, height, tile):
        for left in range(0, width, tile):
            part = pixels[top : top + tile, left : left + tile]
            whole = np.full((tile, tile, 3), 255, np.uint8)
            whole[: part.shape[0], : part.shape[1]] = part
            yield whole


def through_jpeg(pixels: Pixels, tile: int = TILE) -> Pixels:
    """Return the pixels that a slide with JPEG tiles has."""
    height, width = pixels.shape[:2]
    across = -(-width // tile)
    parts = [decoded(jpeg(each)) for each in tiles(pixels, tile)]
    rows = [np.concatenate(parts[start : start + across], axis=1) for start in range(0, len(parts), across)]
    return np.ascontiguousarray(np.concatenate(rows)[:height, :width])
