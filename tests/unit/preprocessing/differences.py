"""The largest difference between two arrays, as text for a failed test."""

from __future__ import annotations

import numpy as np


def worst(found: np.ndarray, expected: np.ndarray) -> str:
    difference = np.abs(found.astype(np.float64) - expected)
    place = np.unravel_index(difference.argmax(), difference.shape)
    return f"worst at {place} of {found.shape}: found {found[place]}, expected {expected[place]}"
