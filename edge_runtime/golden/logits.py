"""Difference between a file's logits on this machine and on the exporting machine, and its tolerance."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from edge_runtime.bundle.manifest import Manifest
from edge_runtime.bundle.runtime_manifest import FileEntry, Precision

Logits = npt.NDArray[np.float32]
EXACT_DISTANCE = 1e-3
"""Largest |Δ| of an out-of-distribution distance of a float32 file, relative to the stored distance."""


def logit_tolerance(entry: FileEntry, manifest: Manifest) -> float:
    """Return the largest :func:`judged_difference` that passes.

    float32: the spec's parity tolerance for the largest relative |Δ|. int8: a mean |Δ| of twice the value that parity
    measured between the file and the Keras model at export, as either machine may round to either side of it. The mean
    is used because rounding changes single images strongly: a limit for them would let other weights pass. The
    tolerance of a file without parity figures is 0.
    """
    if entry.precision is Precision.FLOAT32:
        return manifest.spec.tolerance.float32_logit_max
    return max((2.0 * row.logit_mean for row in manifest.parity if row.file == entry.name), default=0.0)


def judged_difference(entry: FileEntry, found: Logits, stored: Logits) -> float:
    """Return one number for the difference of logits; NaN or infinite if ``found`` contains such values.

    float32 files: the largest |Δ| relative to max(1, |stored|). Files with rounded weights: the mean |Δ|.

    Args:
        entry: the model file.
        found: float32 N×outputs, computed on this machine.
        stored: float32 N×outputs, computed on the exporting machine.
    """
    judged = relative(found, stored).max() if entry.precision is Precision.FLOAT32 else absolute(found, stored).mean()
    return float(judged)


def distance_tolerance(entry: FileEntry, manifest: Manifest) -> float:
    """Return the largest :func:`distance_difference` that passes.

    float32: :data:`EXACT_DISTANCE`. Other files: twice the largest difference that parity measured between the file and
    the Keras model at export, as either machine may round to either side of it. Without such figures it is 0.
    """
    if entry.precision is Precision.FLOAT32:
        return EXACT_DISTANCE
    rows = manifest.familiarity_parity or ()
    return max((max(2.0 * row.difference_max, EXACT_DISTANCE) for row in rows if row.file == entry.name), default=0.0)


def distance_difference(found: npt.NDArray[np.float64], stored: npt.NDArray[np.float64]) -> float:
    """Return the largest |Δ| of out-of-distribution distances, float64 N each, relative to the stored distance."""
    return float((np.abs(found - stored) / stored).max())


def absolute(found: Logits, stored: Logits) -> npt.NDArray[np.float64]:
    """Return |Δ|, float64 of the same shape."""
    return np.abs(found.astype(np.float64) - stored)


def relative(found: Logits, stored: Logits) -> npt.NDArray[np.float64]:
    """Return |Δ| divided by max(1, |stored|), float64 of the same shape."""
    return np.asarray(absolute(found, stored) / np.maximum(1.0, np.abs(stored)))
