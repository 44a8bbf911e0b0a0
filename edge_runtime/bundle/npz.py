"""The arrays in an ``.npz`` file of a bundle, whose SHA-256 was checked before: their sizes come before their bytes."""

from __future__ import annotations

import io
import zipfile
from typing import Any

import numpy as np
import numpy.typing as npt

MOST_UNPACKED = 256 << 20
"""Bytes that all arrays of a file may take, unless the file itself has half as many."""


def read_arrays(data: bytes) -> dict[str, npt.NDArray[Any]]:
    """Return the arrays by name.

    Raises:
        ValueError: they take more memory than those of any bundle, or one claims more than is there.
        OSError, EOFError, LookupError, zipfile.BadZipFile, zlib.error: it is damaged, as numpy and zipfile say it.
    """
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        total = sum(info.file_size for info in archive.infolist())
    most = max(MOST_UNPACKED, 2 * len(data))
    if total > most:
        raise ValueError(f"its arrays have {total} bytes, expected at most {most}")
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as stored:
            return {name: stored[name] for name in stored.files}
    except MemoryError:  # of a shape that its header claims
        raise ValueError("an array claims to be larger than the memory") from None
