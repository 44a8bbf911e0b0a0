"""Shrinking without aliasing, in steps whose bits are the same on every processor.

OpenCV's area averaging differs in a few values between processors, and its exact bilinear interpolation reads two
pixels a side however far an image shrinks. But halving by bilinear interpolation *is* averaging two by two pixels.
"""

from __future__ import annotations

from edge_runtime.preprocessing.steps import Interpolation, PixelType, Resize


def halved(side_px: int, *, times: int = 1) -> tuple[Resize, ...]:
    """Return resizes to a square of ``side_px`` · 2^times, then half by half to ``side_px``; uint8."""
    sides = (side_px << power for power in range(times, -1, -1))
    return tuple(Resize(side, side, Interpolation.LINEAR_EXACT, PixelType.UINT8) for side in sides)
