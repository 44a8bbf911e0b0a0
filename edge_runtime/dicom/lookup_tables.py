"""Lookup tables of an object: modality LUT, VOI LUT and palettes (PS3.3 C.11.1.1, C.11.2.1.1 and C.7.6.3.1.5).

They are read here, not by pydicom. It cuts input values to 8 bits if entries have 8, and does not swap the palettes of
Big Endian objects.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from pydicom import Dataset

Stored = npt.NDArray[np.uint8 | np.int8 | np.uint16 | np.int16]

_HALF, _ALL = 1 << 15, 1 << 16
_ROWS = 64


@dataclass(frozen=True, eq=False)
class LookupTable:
    """A table.

    Attributes:
        first: input value of the first entry.
        entries: integers, one for each input value from ``first``.
        bits: bits of an entry: 2 to the power of it, less one, is the largest.
    """

    first: int
    entries: npt.NDArray[np.int64]
    bits: int

    def of(self, values: npt.NDArray[np.generic]) -> npt.NDArray[np.int64]:
        """Return the entries of input values; those outside the table have its first or last entry."""
        index = np.round(values.astype(np.float64)).clip(-_ALL * _ALL, _ALL * _ALL).astype(np.int64) - self.first
        return np.asarray(self.entries[index.clip(0, len(self.entries) - 1)], np.int64)


def read_table(
    dataset: Dataset, descriptor: str, data: str, *, signed: bool, little: bool, full: bool = True
) -> LookupTable:
    """Read a table. Use it inside :func:`edge_runtime.dicom.dataset.silent`.

    Args:
        dataset: the data set or the item of a sequence that holds it.
        descriptor: keyword of its descriptor.
        data: keyword of its data.
        signed: whether input values may be negative. Then a first value of 32,768 or more is negative, too.
        little: whether the object is Little Endian.
        full: whether the largest number of that many bits is white, or full colour.

    Raises:
        ValueError, TypeError, KeyError: it is not as the standard says.
    """
    count, first, bits = (int(each) for each in dataset[descriptor].value)
    entries = _entries(dataset[data].value, (count % _ALL) or _ALL, little=little)
    bits = 8 if entries.dtype.itemsize == 1 else bits
    largest = int(entries.max())
    if not 8 <= bits <= 16 or largest >> bits:
        raise ValueError("entries of more bits than the table")
    if full and bits > 8 and 0 < largest < 256:  # some devices say 16 bits and write 8
        raise ValueError("entries of 8 bits in a table of more")
    if signed and first >= _HALF:
        first -= _ALL
    return LookupTable(first, entries.astype(np.int64), bits)


def _entries(stored: object, count: int, *, little: bool) -> npt.NDArray[np.uint8] | npt.NDArray[np.uint16]:
    """Return the entries: words, or bytes in words (OW), of which the last one may be padding."""
    if not isinstance(stored, bytes):
        words = np.atleast_1d(np.asarray(stored)).astype(np.int64)
        stored = words.astype("<u2").tobytes()  # negative ones, of VR SS, are the same bits
    elif not little:
        stored = np.frombuffer(stored, "<u2").byteswap().tobytes()
    if len(stored) == 2 * count:
        return np.frombuffer(stored, "<u2").astype(np.uint16)
    if len(stored) == count + count % 2:
        return np.frombuffer(stored, np.uint8)[:count]
    raise ValueError("another number of entries")


def stored_values(bits: int, *, signed: bool) -> npt.NDArray[np.int64]:
    """Return all values that so many stored bits can have, in their order."""
    lowest = -(1 << (bits - 1)) if signed else 0
    return np.arange(lowest, lowest + (1 << bits))


def looked_up(pixels: Stored, table: npt.NDArray[np.uint8], lowest: int) -> npt.NDArray[np.uint8]:
    """Look every pixel up, some rows at a time: NumPy holds eight bytes for each index.

    Args:
        pixels: stored values, H×W.
        table: for each value from ``lowest`` what it becomes, N or N×3.
        lowest: the value of the first entry.
    """
    found = np.empty(pixels.shape + table.shape[1:], np.uint8)
    for row in range(0, len(pixels), _ROWS):
        found[row : row + _ROWS] = table[pixels[row : row + _ROWS].astype(np.intp) - lowest]
    return found
