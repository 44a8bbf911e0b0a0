"""Read the arrays of an ``.npz`` file of a bundle, whose SHA-256 was checked before. Sizes are checked first."""

from __future__ import annotations

import io
import math
import zipfile
from typing import Any

import numpy as np
import numpy.typing as npt

MOST_UNPACKED = 256 << 20
"""Largest sum of all arrays of a file in bytes; files of more than half this size may unpack to twice their size."""


def read_arrays(data: bytes) -> dict[str, npt.NDArray[Any]]:
    """Return the arrays by name.

    Raises:
        ValueError: the arrays are too large, or an array's header declares more bytes than the file contains.
        OSError, EOFError, LookupError, zipfile.BadZipFile, zlib.error: the file is damaged.
    """
    most = max(MOST_UNPACKED, 2 * len(data))
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        total = sum(info.file_size for info in archive.infolist())
        if total > most:
            raise ValueError(f"its arrays have {total} bytes, expected at most {most}")
        for info in archive.infolist():
            claimed = _claimed(archive, info)
            if claimed > info.file_size:
                raise ValueError(f"{info.filename} declares {claimed} bytes and has {info.file_size}")
    with np.load(io.BytesIO(data), allow_pickle=False) as stored:
        return {name: stored[name] for name in stored.files}


def _claimed(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> int:
    """Return the number of bytes that an array's header declares; numpy allocates them before it reads."""
    with archive.open(info) as entry:
        version = np.lib.format.read_magic(entry)
        if version not in ((1, 0), (2, 0)):
            raise ValueError(f"{info.filename} has version {version} of numpy's format, expected 1.0 or 2.0")
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, _, dtype = read(entry)
    return math.prod(shape) * int(dtype.itemsize)
