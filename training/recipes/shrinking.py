"""Downscaling without aliasing, with bit-identical results on every processor.

OpenCV's area averaging differs in a few values between processors. Its exact bilinear interpolation reads only two
pixels per axis, whatever the scale. But halving an image by bilinear interpolation *is* averaging 2×2 pixels.
"""

from __future__ import annotations

from edge_runtime.preprocessing.steps import Interpolation, PixelType, Resize


def halved(side_px: int, *, times: int = 1) -> tuple[Resize, ...]:
    """Return uint8 resize steps: to a square of ``side_px`` · 2^times, then ``times`` halvings to ``side_px``."""
    sides = (side_px << power for power in range(times, -1, -1))
    return tuple(Resize(side, side, Interpolation.LINEAR_EXACT, PixelType.UINT8) for side in sides)
