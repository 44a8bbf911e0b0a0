"""zlib streams, read in exact lengths and constant memory, and given up when they inflate far too slowly.

A stream of some megabytes can consist of nothing but headers of empty blocks (RFC 1951, 3.2.7), for which zlib
builds tables: ten times the time of an ordinary stream of that length. No length tells them; only the time does. It is
compared with what this processor takes for an ordinary stream, so that a slow processor refuses nothing more.
"""

from __future__ import annotations

import hashlib
import time
import zlib
from collections.abc import Iterable, Iterator
from functools import lru_cache

_BLOCK_BYTES = 1 << 16
_IN_BYTES_S, _OUT_BYTES_S = 170e6, 600e6
"""Speed of zlib 1.2.13 on an x86-64 core, in bytes of the stream and of what it inflates to: the times add up."""
_FREE_S = 0.2
_MOST_TIMES = 2.0
_TIMED_BYTES = 2_000_000  # even the slowest stream of this length takes under 0.2 s
_SAMPLE_BYTES = 1 << 18


def estimate_s(in_bytes: int, out_bytes: int) -> float:
    """Processor time that an ordinary stream takes, on the processor of MAX_WORK_S."""
    return in_bytes / _IN_BYTES_S + out_bytes / _OUT_BYTES_S


class Meter:
    """Adds up the processor time of one or many streams.

    Args:
        in_bytes: the length of all of them.
        out_bytes: what they should inflate to.
    """

    def __init__(self, in_bytes: int, out_bytes: int) -> None:
        self._left_s = 0.0
        self._on = in_bytes > _TIMED_BYTES
        if self._on:
            self._left_s = _slowness() * (_FREE_S + _MOST_TIMES * estimate_s(in_bytes, out_bytes))

    def inflate(self, stream: zlib._Decompress, block: bytes | memoryview, length: int) -> bytes:
        """Inflate up to ``length`` bytes.

        Raises:
            ValueError: the stream is damaged or too slow.
        """
        start = time.thread_time() if self._on else 0.0
        try:
            part = stream.decompress(block, length)
        except zlib.error as error:
            raise ValueError(f"it does not inflate: {error}") from None
        if self._on:
            self._left_s -= time.thread_time() - start
            if self._left_s < 0:
                raise ValueError("it takes far longer to inflate than an ordinary file")
        return part


class Inflater:
    """A zlib stream in pieces, cut anywhere."""

    def __init__(self, pieces: Iterable[memoryview], meter: Meter) -> None:
        self._stream = zlib.decompressobj()
        self._blocks = _blocks(pieces)
        self._meter = meter
        self._rest: bytes | memoryview = b""

    def read(self, length: int) -> bytes:
        """The next ``length`` bytes.

        Raises:
            ValueError: the stream is damaged, too short or too slow.
        """
        parts = []
        while length:
            part = self._step(length)
            if not part and self._stream.eof:
                raise ValueError("it inflates to too few bytes")
            parts.append(part)
            length -= len(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def finish(self, surplus_bytes: int = 0) -> None:
        """Read to the end, where zlib compares the Adler-32; what follows it is left.

        Raises:
            ValueError: as :meth:`read`, or more than ``surplus_bytes`` are left.
        """
        while not self._stream.eof:
            surplus_bytes -= len(self._step(_BLOCK_BYTES))
            if surplus_bytes < 0:
                raise ValueError("it inflates to more than its rows")

    def _step(self, length: int) -> bytes:
        """Inflate up to ``length`` bytes of one block of the stream; none at its end, and sometimes elsewhere."""
        self._rest = self._rest or next(self._blocks, b"")
        used_up = not self._rest  # zlib may hold back a part of its output all the same
        part = self._meter.inflate(self._stream, self._rest, length)
        self._rest = self._stream.unconsumed_tail
        if used_up and not part and not self._stream.eof:
            raise ValueError("it inflates to too few bytes")
        return part


def _blocks(pieces: Iterable[memoryview]) -> Iterator[bytes | memoryview]:
    """Blocks of about the same length, of pieces of any: each call of zlib costs a microsecond, and copies its rest."""
    small: list[memoryview] = []
    held = 0
    for piece in pieces:
        if len(piece) < _BLOCK_BYTES:
            small.append(piece)
            held += len(piece)
        if small and (held >= _BLOCK_BYTES or len(piece) >= _BLOCK_BYTES):
            yield b"".join(small)
            small, held = [], 0
        if len(piece) >= _BLOCK_BYTES:
            yield from (piece[at : at + _BLOCK_BYTES] for at in range(0, len(piece), _BLOCK_BYTES))
    if small:
        yield b"".join(small)


@lru_cache(maxsize=1)
def _slowness() -> float:
    """How much longer this processor takes than the one of MAX_WORK_S, by a stream of 5 bits a byte."""
    noise = bytes(byte & 31 for byte in hashlib.shake_128(b"").digest(_SAMPLE_BYTES))
    stream = zlib.compress(noise, 1)
    times = []
    for _ in range(3):
        start = time.thread_time()
        zlib.decompress(stream)
        times.append(time.thread_time() - start)
    return max(0.5, min(times) / estimate_s(len(stream), len(noise)))
