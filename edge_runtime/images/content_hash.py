"""SHA-256 of a file or an array, computed when it is first read: many programs never read it.

The hash takes longer than a small network. A prediction therefore keeps what was classified: the bytes of the file, a
copy of the array, or the array itself if nothing can write to it. At most :data:`WAITING` predictions keep something:
the hash of an older prediction that is still in use is computed, and the rest released. Files of more than
:data:`MOST_BYTES`, and larger arrays that may change, are hashed at once.
"""

from __future__ import annotations

from collections import deque
from weakref import ref

import numpy as np

from edge_runtime.images.formats.decoding import Pixels

MOST_BYTES = 8_000_000
"""Most bytes that are kept for the hash alone. A colour frame of full HD has 6.2 million bytes."""

WAITING = 2
"""Most predictions that keep something: a loop that predicts frames still holds the last one when it makes the next."""


def unchanging(pixels: Pixels) -> Pixels:
    """Return pixels that stay as they are, C-contiguous, until their hash is computed.

    They are copied if they may change. The copy is classified, too, so it is what the hash tells about. Arrays of more
    than :data:`MOST_BYTES` are returned as they are.
    """
    if pixels.nbytes > MOST_BYTES or (not pixels.flags.writeable and _is_constant(pixels)):
        return pixels
    return pixels.copy()


def _is_constant(pixels: object) -> bool:
    """Return whether pixels are read-only, down to the array or the bytes object that owns their memory."""
    while isinstance(pixels, np.ndarray):
        if pixels.flags.writeable:
            return False
        if pixels.flags.owndata:
            return True
        pixels = pixels.base
    return isinstance(pixels, bytes)


class ContentHash:
    """SHA-256 (hex) of a file's bytes, or of an array's dtype, shape and values; ``str`` computes it. Thread-safe.

    For an array, the hashed bytes are dtype and shape, such as ``uint8 50x50x3``, a newline, and the values in C order.
    uint16 values are little-endian, and grey has the shape H×W. The array's own memory layout has no effect.
    """

    __slots__ = ("__weakref__", "_content", "_hex", "_is_waiting")

    def __init__(self, content: bytes | Pixels) -> None:
        """Hash the bytes of a file, or pixels from :func:`unchanging`. More than MOST_BYTES of a file are not kept."""
        self._content: bytes | Pixels | None = content
        self._hex, self._is_waiting = "", False
        if isinstance(content, bytes) and len(content) > MOST_BYTES:
            str(self)

    def __str__(self) -> str:
        """Return the hash, and release the content."""
        content = self._content
        if content is not None:
            self._hex, self._content = _sha256(content), None
        return self._hex

    def __reduce__(self) -> tuple[type[str], tuple[str]]:
        """Pickle and copy the hash alone, as a string."""
        return str, (str(self),)

    def kept(self) -> ContentHash:
        """Return this hash for a prediction, whatever the caller does with an array from now on."""
        content = self._content
        if content is None or self._is_waiting:
            return self
        if isinstance(content, np.ndarray) and content.nbytes > MOST_BYTES and not _is_constant(content):
            str(self)
            return self
        self._is_waiting = True
        _waiting.append(ref(self))
        if len(_waiting) > WAITING and (oldest := _waiting.popleft()()) is not None:
            str(oldest)
        return self


_waiting: deque[ref[ContentHash]] = deque()


def _sha256(content: bytes | Pixels) -> str:
    import hashlib  # imported here: it loads OpenSSL, and a command that prints no hash needs none

    if isinstance(content, bytes):
        return hashlib.sha256(content).hexdigest()
    dtype = content.dtype
    values = content if dtype == np.uint8 else np.ascontiguousarray(content, dtype.newbyteorder("<"))
    digest = hashlib.sha256(f"{dtype.name} {'x'.join(map(str, content.shape))}\n".encode("ascii"))
    digest.update(values.data)
    return digest.hexdigest()
