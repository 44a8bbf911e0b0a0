"""Tensors of many images in a file, read a few at a time, so that memory does not depend on their number."""

from __future__ import annotations

import os
import tempfile
import time
import weakref
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from export.errors import ExportError

Floats = npt.NDArray[np.float32]

BATCH = 32
"""Number of images that are in memory at once where a network takes several."""


class Streamed:
    """Images of stored tensors that this process has consumed one by one, and the seconds that their use took."""

    images = 0
    seconds = 0.0


class StoredTensors:
    """N preprocessed images in a .npy file, float32 N×H×W×C; an array that is read along its first axis only.

    Slices and single rows are arrays in memory; iteration reads one image at a time.
    """

    dtype = np.dtype(np.float32)

    def __init__(self, path: Path | str, temporary: Any = None) -> None:
        """Open the file.

        Args:
            path: a .npy file, float32 N×H×W×C, C order.
            temporary: object that removes the file when it is no longer referenced; None for a file that stays.
        """
        self.path, self._temporary = Path(path), temporary
        with self.path.open("rb") as file:
            read_header = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
            shape, columns, dtype = read_header[np.lib.format.read_magic(file)](file)
            self._start = file.tell()
        if columns or dtype != self.dtype:
            raise ValueError(f"{path}: found {dtype}, columns first: {columns}; expected float32, rows first")
        self.shape: tuple[int, ...] = tuple(shape)

    @property
    def nbytes(self) -> int:
        """Size of all tensors in bytes, on disk."""
        return self.dtype.itemsize * int(np.prod(self.shape, dtype=np.int64))

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: int | slice) -> Floats:
        if isinstance(rows, slice):
            start, stop, step = rows.indices(len(self))
            if step == 1:
                return self._read(start, max(0, stop - start))
            return np.concatenate([self._read(row, 1) for row in range(start, stop, step)])
        row = range(len(self))[rows]
        return np.asarray(self._read(row, 1)[0])

    def __iter__(self) -> Iterator[Floats]:
        return self.rows()

    def rows(self, start: int = 0, stop: int | None = None) -> Iterator[Floats]:
        """Yield the images from ``start`` to before ``stop``, float32 H×W×C, one in memory at a time."""
        for row in range(start, len(self) if stop is None else min(stop, len(self))):
            tensor = self[row]
            began = time.perf_counter()
            yield tensor
            Streamed.images += 1
            Streamed.seconds += time.perf_counter() - began

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> npt.NDArray[Any]:
        return self[:].astype(dtype or self.dtype, copy=False)

    def _read(self, start: int, count: int) -> Floats:
        size = int(np.prod(self.shape[1:], dtype=np.int64))
        offset = self._start + start * size * self.dtype.itemsize
        values = np.fromfile(self.path, self.dtype, count * size, offset=offset)
        return values.reshape(count, *self.shape[1:])


Tensors = Floats | StoredTensors


def batches(tensors: Tensors, size: int = BATCH) -> Iterator[Floats]:
    """Yield the images in batches of ``size``, float32 B×H×W×C, in their order."""
    for start in range(0, len(tensors), size):
        batch = tensors[start : start + size]
        began = time.perf_counter()
        yield batch
        Streamed.images += len(batch)
        Streamed.seconds += time.perf_counter() - began


def head(tensors: Tensors, count: int) -> Iterator[Floats]:
    """Yield at most the first ``count`` images, float32 H×W×C, one in memory at a time."""
    for row in range(min(count, len(tensors))):
        yield tensors[row]


def store(rows: Iterable[Floats], shape: tuple[int, ...], path: Path | None = None) -> StoredTensors:
    """Write images to a file one by one.

    Args:
        rows: the images, float32 H×W×C; any number.
        shape: H, W and C.
        path: the file to write; None for a temporary file that lives as long as the result.

    Raises:
        ExportError: the file cannot be written.
    """
    temporary = None
    if path is None:
        temporary = _Temporary()
        path = Path(temporary.name)
    count = 0
    try:
        with path.open("wb") as file:
            _write_header(file, 0, shape)
            for row in rows:
                file.write(np.ascontiguousarray(row, np.float32).data)
                count += 1
            file.seek(0)
            _write_header(file, count, shape)
    except OSError as error:
        raise ExportError(
            f"{path}: found {error.strerror or error} after {count} preprocessed images of "
            f"{4 * int(np.prod(shape)):,} bytes, expected space for all. Free some, or choose another folder."
        ) from error
    return StoredTensors(path, temporary)


class _Temporary:
    """A file that is removed when this object is no longer referenced."""

    def __init__(self) -> None:
        handle, self.name = tempfile.mkstemp(suffix=".npy")
        os.close(handle)
        weakref.finalize(self, os.unlink, self.name)


def _write_header(file: Any, count: int, shape: tuple[int, ...]) -> None:
    """Write a header whose length does not depend on the count."""
    np.lib.format.write_array_header_1_0(file, {"descr": "<f4", "fortran_order": False, "shape": (count, *shape)})
