"""SHA-256 of an array, computed when it is first read: most programs that pass arrays never read it.

The hash takes longer than a small network. A prediction therefore keeps a copy of the pixels, which takes a tenth of
the time. At most :data:`WAITING` copies exist, of at most :data:`MOST_BYTES` each: the hash of an older prediction that
is still in use is computed, and its copy released.
"""

from __future__ import annotations

from collections import deque
from weakref import ref

import numpy as np

from edge_runtime.images.formats.decoding import Pixels

MOST_BYTES = 8_000_000
"""Largest array that is copied; a larger one is hashed at once. A colour frame of full HD has 6.2 million bytes."""

WAITING = 2
"""Largest number of copies: a loop that predicts frames still holds the last prediction when it makes the next."""


class ArrayHash:
    """SHA-256 (hex) of an array's dtype, shape and values; ``str`` computes it. Thread-safe.

    The hashed bytes are dtype and shape, such as ``uint8 50x50x3``, a newline, and the values in C order. uint16 values
    are little-endian, and grey has the shape H×W. The array's own memory layout has no effect.
    """

    __slots__ = ("__weakref__", "_copied", "_hex", "_pixels")

    def __init__(self, pixels: Pixels) -> None:
        """Hash ``pixels``, C-contiguous; until :meth:`kept`, they must not change."""
        self._pixels: Pixels | None = pixels
        self._copied, self._hex = False, ""

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
        """Return this hash; from now on the caller's array may change."""
        pixels = self._pixels
        if pixels is None or self._copied:
            return self
        if pixels.nbytes > MOST_BYTES:
            str(self)
            return self
        self._pixels, self._copied = pixels.copy(), True
        _waiting.append(ref(self))
        if len(_waiting) > WAITING and (oldest := _waiting.popleft()()) is not None:
            str(oldest)
        return self


_waiting: deque[ref[ArrayHash]] = deque()


def _sha256(pixels: Pixels) -> str:
    import hashlib  # imported here: it loads OpenSSL, and images in files need none

    values = pixels if pixels.dtype == np.uint8 else np.ascontiguousarray(pixels, pixels.dtype.newbyteorder("<"))
    digest = hashlib.sha256(f"{pixels.dtype.name} {'x'.join(map(str, pixels.shape))}\n".encode("ascii"))
    digest.update(values.data)
    return digest.hexdigest()
