"""SHA-256 of an array, computed when it is first read: most programs that pass arrays never read it.

The hash takes longer than a small network. A prediction therefore keeps the pixels: a copy, made before the image is
classified, or the caller's array if nothing can write to it. At most :data:`WAITING` predictions keep pixels, of at
most :data:`MOST_BYTES` each: the hash of an older prediction that is still in use is computed, and its pixels released.
"""

from __future__ import annotations

import hashlib
from collections import deque
from weakref import ref

import numpy as np

from edge_runtime.images.formats.decoding import Pixels

MOST_BYTES = 8_000_000
"""Largest array that is kept; a larger one is hashed at once. A colour frame of full HD has 6.2 million bytes."""

WAITING = 2
"""Most predictions that keep pixels: a loop that predicts frames still holds the last one when it makes the next."""


def unchanging(pixels: Pixels) -> Pixels:
    """Return pixels that stay as they are, C-contiguous, until their hash is computed.

    They are copied if they may change. The copy is classified, too: it is the hashed one, and in the processor's cache.
    Arrays of more than :data:`MOST_BYTES` are returned as they are.
    """
    return pixels if pixels.nbytes > MOST_BYTES or _is_constant(pixels) else pixels.copy()


def _is_constant(pixels: object) -> bool:
    """Return whether pixels are read-only, down to the array or the bytes object that owns their memory."""
    while isinstance(pixels, np.ndarray):
        if pixels.flags.writeable:
            return False
        if pixels.flags.owndata:
            return True
        pixels = pixels.base
    return isinstance(pixels, bytes)


class ArrayHash:
    """SHA-256 (hex) of an array's dtype, shape and values; ``str`` computes it. Thread-safe.

    The hashed bytes are dtype and shape, such as ``uint8 50x50x3``, a newline, and the values in C order. uint16 values
    are little-endian, and grey has the shape H×W. The array's own memory layout has no effect.
    """

    __slots__ = ("__weakref__", "_hex", "_is_waiting", "_pixels")

    def __init__(self, pixels: Pixels) -> None:
        """Hash ``pixels``, from :func:`unchanging`."""
        self._pixels: Pixels | None = pixels
        self._hex, self._is_waiting = "", False

    def __str__(self) -> str:
        """Return the hash, and release the pixels."""
        pixels = self._pixels
        if pixels is not None:
            self._hex, self._pixels = _sha256(pixels), None
        return self._hex

    def __reduce__(self) -> tuple[type[str], tuple[str]]:
        """Pickle and copy the hash alone, as a string."""
        return str, (str(self),)

    def kept(self) -> ArrayHash:
        """Return this hash for a prediction, whatever the caller does with the array from now on."""
        pixels = self._pixels
        if pixels is None or self._is_waiting:
            return self
        if pixels.nbytes > MOST_BYTES:
            str(self)
            return self
        self._is_waiting = True
        _waiting.append(ref(self))
        if len(_waiting) > WAITING and (oldest := _waiting.popleft()()) is not None:
            str(oldest)
        return self


_waiting: deque[ref[ArrayHash]] = deque()


def _sha256(pixels: Pixels) -> str:
    values = pixels if pixels.dtype == np.uint8 else np.ascontiguousarray(pixels, pixels.dtype.newbyteorder("<"))
    digest = hashlib.sha256(f"{pixels.dtype.name} {'x'.join(map(str, pixels.shape))}\n".encode("ascii"))
    digest.update(values.data)
    return digest.hexdigest()
