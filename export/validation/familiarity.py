"""Compare the out-of-distribution distances of exported files with the Keras model's."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from edge_runtime.bundle.manifest import ROUNDED, FamiliarityParity
from edge_runtime.bundle.spec import ModelSpec
from edge_runtime.ood.detector import is_familiar
from export.errors import ParityError
from export.validation.parity import FileLogits, allowed_flips

Floats = npt.NDArray[np.float64]

NEAR = 0.5
"""Smallest share of the images that determine the band. int8 errors are relatively larger at small distances, where
they change no answer."""

EXACT = 1e-3
"""Largest |Δ distance| of a float32 file, relative to the Keras model's distance."""


def band(pairs: Sequence[tuple[Floats, Floats]]) -> float:
    """Return the distance of a share to 1 within which the float32 file decides whether an image is familiar.

    It is the largest relative difference on the parity images with a share of at least :data:`NEAR` (on all images if
    there is none), and contains every image on which a rounded file and its float32 file decide differently.

    Args:
        pairs: (rounded, float32) shares of the same images, float64 N; one pair per int8 or float16 file.
    """
    found = 0.0
    for rounded, exact in pairs:
        differ = (rounded <= 1) != (exact <= 1)
        near = exact >= NEAR if (exact >= NEAR).any() else np.ones(len(exact), np.bool_)
        found = max(found, float((np.abs(rounded - exact) / exact)[near].max()), *np.abs(rounded - 1)[differ].tolist())
    return min(1.0, round(found + 5e-7, 6))


def measure(
    found: FileLogits, ours: Floats, exact: Floats, theirs: Floats, spec: ModelSpec, familiarity_band: float
) -> FamiliarityParity:
    """Return the parity figures of one file's distances.

    Args:
        found: the file's outputs for the parity images.
        ours: shares of the file, distances divided by the limit, float64 N.
        exact: shares of the float32 file of the same format.
        theirs: shares of the Keras model.
        spec: the spec with the check.
        familiarity_band: result of :func:`band`; of no effect for a float32 file.

    Raises:
        ParityError: a float32 file differs by more than :data:`EXACT`, or a rounded file flips more answers of the
            check than the spec's tolerance allows decisions to flip.
    """
    relative = np.abs(ours - theirs) / theirs
    rounded = found.entry.precision in ROUNDED
    near = np.abs(ours - 1) <= familiarity_band if rounded else np.zeros(len(ours), np.bool_)
    guarded = np.where(near, exact, ours)
    name, flips = f"{found.entry.name} on {found.runtime.value}", _flips(ours, theirs)
    if not rounded and not relative.max() <= EXACT:
        raise ParityError(f"{name}: relative |Δ distance| is {relative.max():.6g}, tolerance {EXACT:g}.")
    if flips > allowed_flips(len(ours), spec):
        raise ParityError(
            f"{name}: found {flips} of {len(ours)} images that pass the out-of-distribution check in one of file and "
            f"Keras model alone, tolerance {allowed_flips(len(ours), spec)}. Choose an earlier layer."
        )
    return FamiliarityParity(
        file=found.entry.name,
        runtime=found.runtime.value,
        images=len(ours),
        difference_max=_four_digits(relative.max()),
        difference_mean=_four_digits(relative.mean()),
        flips=flips,
        flips_guarded=_flips(guarded, theirs),
        reruns=int(near.sum()),
    )


def _flips(ours: Floats, theirs: Floats) -> int:
    return sum(is_familiar(a) is not is_familiar(b) for a, b in zip(ours.tolist(), theirs.tolist(), strict=True))


def _four_digits(value: np.floating) -> float:
    return float(f"{float(value):.4g}")
