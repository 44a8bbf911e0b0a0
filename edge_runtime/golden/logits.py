"""How far a file's logits on this machine may lie from those on the machine that made the bundle."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from edge_runtime.bundle.manifest import Manifest
from edge_runtime.bundle.runtime_manifest import FileEntry, Precision

Logits = npt.NDArray[np.float32]


def logit_tolerance(entry: FileEntry, manifest: Manifest) -> float:
    """Return the largest :func:`judged_difference` that a file may show.

    float32: the spec's parity tolerance, the largest relative |Δ|. int8: mean |Δ|, twice what parity measured between
    the file and the Keras model at export, since there and here int8 may be rounded to either side of it. The mean,
    because single images are rounded far off: a limit that holds them would let other weights pass. A file that
    parity did not measure may not stray at all.
    """
    if entry.precision is Precision.FLOAT32:
        return manifest.spec.tolerance.float32_logit_max
    return max((2.0 * row.logit_mean for row in manifest.parity if row.file == entry.name), default=0.0)


def judged_difference(entry: FileEntry, found: Logits, stored: Logits) -> float:
    """Return one number for the distance of logits, both float32 N×outputs; NaN or infinity where ``found`` has such.

    float32: the largest |Δ| relative to max(1, |stored|). Files with rounded weights: the mean |Δ|.
    """
    judged = relative(found, stored).max() if entry.precision is Precision.FLOAT32 else absolute(found, stored).mean()
    return float(judged)


def absolute(found: Logits, stored: Logits) -> npt.NDArray[np.float64]:
    """Return |Δ|, float64 of the same shape."""
    return np.abs(found.astype(np.float64) - stored)


def relative(found: Logits, stored: Logits) -> npt.NDArray[np.float64]:
    """Return |Δ| over max(1, |stored|), float64 of the same shape."""
    return np.asarray(absolute(found, stored) / np.maximum(1.0, np.abs(stored)))
