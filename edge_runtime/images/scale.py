"""The physical scale of an image, as its user states it, against the scale that a model is made for.

A slide read at 1.25 times the right microns per pixel changes 13 % of the tissue model's decisions, and the
out-of-distribution check hardly notices. Image files rarely carry a scale that can be trusted: their resolution is
usually a default of the program that wrote them. So the scale is never guessed from a file.
"""

from __future__ import annotations

import math

from edge_runtime.errors import ImageScaleError, UsageError

TOLERANCE = 0.10
"""Largest accepted difference of a stated scale from the spec's, as a share of the spec's."""


def check_scale(name: str, stated: float, expected: float | None, model: str) -> None:
    """Check the stated scale of an image, in microns per pixel.

    Args:
        name: name of the image in the error.
        stated: scale of the image according to its user.
        expected: scale of the model's spec; None if it has none.
        model: name of the model in the error.

    Raises:
        ImageScaleError: ``image_scale_wrong``: the scale differs from the spec's by more than :data:`TOLERANCE`.
        UsageError: the scale is not a finite number above 0 (``usage``), or the model has no scale
            (``scale_unexpected``).
    """
    if not (math.isfinite(stated) and stated > 0.0):
        raise UsageError(f"found {stated:g} microns per pixel, expected a number above 0. Correct it.")
    if expected is None:
        raise UsageError(
            f"{model}: found a scale of {stated:g} microns per pixel, but this model has none to compare it with. "
            "Leave the scale out.",
            code="scale_unexpected",
        )
    if abs(stated - expected) > TOLERANCE * expected * (1.0 + 1e-9):  # the bound itself passes in spite of rounding
        raise ImageScaleError(
            f"{name}: found {stated:g} microns per pixel, expected {expected:g} within {TOLERANCE:.0%}. Resample the "
            f"image by {stated / expected:.4g} to {expected:g} microns per pixel."
        )
