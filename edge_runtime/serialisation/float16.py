"""Matrices of numbers in JSON: little-endian float16, row by row, in base64."""

from __future__ import annotations

import base64
import binascii
from typing import Any

import numpy as np
import numpy.typing as npt


def packed(matrix: npt.NDArray[Any]) -> str:
    """Return the text of a matrix; its numbers are rounded to float16."""
    return base64.b64encode(np.ascontiguousarray(matrix, dtype="<f2").tobytes()).decode("ascii")


def unpacked(text: str, rows: int, columns: int, name: str) -> npt.NDArray[np.float64]:
    """Return the matrix of a text, float64 rows×columns.

    Raises:
        ValueError: ``text`` is no base64, has another size, or contains NaN or infinity. The message names ``name``.
    """
    try:
        found = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        found = b""
    if len(found) != 2 * rows * columns:
        raise ValueError(
            f"{name}: found base64 of {len(found)} bytes, expected {2 * rows * columns}: {rows}x{columns} float16 "
            "numbers. Install the bundle again."
        )
    numbers = np.frombuffer(found, "<f2").reshape(rows, columns).astype(np.float64)
    if not np.isfinite(numbers).all():
        raise ValueError(f"{name}: found NaN or infinity, expected finite numbers. Install the bundle again.")
    return numbers
