"""Read zlib streams in exact lengths and constant memory, and reject streams that inflate far too slowly.

A stream of some megabytes can consist only of headers of empty blocks (RFC 1951, 3.2.7), for which zlib builds tables.
It takes ten times as long as a normal stream of that length. Only the time reveals such a stream, not its length. The
time is compared with that of a normal stream on this processor, so a slow processor rejects no more files.
"""

from __future__ import annotations

import hashlib
import time
import zlib
from collections.abc import Iterable, Iterator
from functools import lru_cache

_BLOCK_BYTES = 1 << 16
_IN_BYTES_S, _OUT_BYTES_S = 170e6, 600e6
"""Speed of zlib 1.2.13 on an x86-64 core, for bytes of the stream and for inflated bytes; the two times add up."""
_FREE_S = 0.2
_MOST_TIMES = 2.0
_TIMED_BYTES = 2_000_000  # even the slowest stream of this length takes under 0.2 s
_SAMPLE_BYTES = 1 << 18


def estimate_s(in_bytes: int, out_bytes: int) -> float:
    """Return the processor time in seconds for a normal stream, on the processor of MAX_WORK_S."""
    return in_bytes / _IN_BYTES_S + out_bytes / _OUT_BYTES_S


class Meter:
    """Measures the processor time of one or several streams.

    Args:
        in_bytes: total length of the streams.
        out_bytes: total length of the inflated data.
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
    """Inflates a zlib stream that is split into pieces at any position."""

    def __init__(self, pieces: Iterable[memoryview], meter: Meter) -> None:
        self._stream = zlib.decompressobj()
        self._blocks = _blocks(pieces)
        self._meter = meter
        self._rest: bytes | memoryview = b""

    def read(self, length: int) -> bytes:
        """Return the next ``length`` bytes.

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
        """Read to the end of the stream, where zlib checks the Adler-32; bytes after it are ignored.

        Raises:
            ValueError: as :meth:`read`, or more than ``surplus_bytes`` bytes remain.
        """
        while not self._stream.eof:
            surplus_bytes -= len(self._step(_BLOCK_BYTES))
            if surplus_bytes < 0:
                raise ValueError("it inflates to more than its rows")

    def _step(self, length: int) -> bytes:
        """Inflate up to ``length`` bytes of one block of the stream; may return no bytes, not only at the end."""
        self._rest = self._rest or next(self._blocks, b"")
        used_up = not self._rest  # zlib may still have output
        part = self._meter.inflate(self._stream, self._rest, length)
        self._rest = self._stream.unconsumed_tail
        if used_up and not part and not self._stream.eof:
            raise ValueError("it inflates to too few bytes")
        return part


def _blocks(pieces: Iterable[memoryview]) -> Iterator[bytes | memoryview]:
    """Yield the pieces as blocks of similar length: each call of zlib takes a microsecond and copies its rest."""
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
    """Return this processor's time relative to the processor of MAX_WORK_S, for a stream of 5 bits a byte."""
    noise = bytes(byte & 31 for byte in hashlib.shake_128(b"").digest(_SAMPLE_BYTES))
    stream = zlib.compress(noise, 1)
    times = []
    for _ in range(3):
        start = time.thread_time()
        zlib.decompress(stream)
        times.append(time.thread_time() - start)
    return max(0.5, min(times) / estimate_s(len(stream), len(noise)))
