"""Decode large PNG images in bands of rows: inflate the stream here, and let OpenCV undo the row filters.

Each band becomes a small uncompressed PNG. Its first row is the last row of the band above, unfiltered, as a filter
refers to the row above (PNG, third edition, section 9). The stream is inflated once, only to the length of the rows,
and the pixels are stored once.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass

import numpy as np

from edge_runtime.images.formats.header import MAX_WORK_S, OpenCV, Pixels, too_much_work
from edge_runtime.images.formats.inflating import Inflater, Meter, estimate_s
from edge_runtime.images.formats.transparency import without_alpha

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_SAMPLES = {0: 1, 2: 3, 4: 2, 6: 4}  # by colour type
_PASSES = ((0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1))
"""Adam7: first row and column of each pass, and the steps between them (PNG, third edition, section 8)."""
_BAND_BYTES = 1 << 18
_SURPLUS_BYTES = 1 << 20
_FILTERS = 5
_S_PER_BYTE = np.array([4.5, 4.5, 4.5, 6.0, 9.0]) * 1e-9
"""Processor time by filter: none, Sub, Up, Average, Paeth. Measured on the processor of MAX_WORK_S."""
_S_PER_SCATTERED_BYTE = 5e-9
"""Processor time to copy the pixels of an interlaced image to their positions."""


@dataclass(frozen=True)
class _Layout:
    """The fields of IHDR; ``width`` and ``height`` are those of a pass."""

    width: int
    height: int
    depth: int
    colour: int

    @property
    def row_bytes(self) -> int:
        """Number of bytes of a row, including the filter byte."""
        return 1 + self.width * _SAMPLES[self.colour] * self.depth // 8

    def png(self, rows: bytes, height: int) -> bytes:
        """Return an uncompressed PNG of these rows."""
        head = struct.pack(">IIBBBBB", self.width, height, self.depth, self.colour, 0, 0, 0)
        return _SIGNATURE + _chunk(b"IHDR", head) + _chunk(b"IDAT", zlib.compress(rows, 0)) + _chunk(b"IEND", b"")


class _Work:
    """Adds up the estimated processor time of the rows, by their filters."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds

    def add(self, rows: bytes, row_bytes: int, name: str) -> None:
        """Add filtered rows.

        Raises:
            ValueError: a filter is unknown.
            ImageSizeError: ``image_too_large``, if the total exceeds MAX_WORK_S.
        """
        filters = np.bincount(np.frombuffer(rows, np.uint8)[::row_bytes], minlength=_FILTERS)
        if len(filters) > _FILTERS:
            raise ValueError("a row has an unknown filter")
        self.seconds += float(filters @ _S_PER_BYTE) * row_bytes
        if self.seconds > MAX_WORK_S:
            raise too_much_work(name, self.seconds)


def decode(data: bytes, pieces: tuple[memoryview, ...], name: str, opencv: OpenCV) -> Pixels:
    """Decode an image of 8 or 16 bits without a palette, whose chunks have been inspected.

    Args:
        data: the file, for its IHDR chunk.
        pieces: payloads of the IDAT chunks.
        name: name in error messages.
        opencv: decodes a whole file.

    Returns:
        Grey H×W, or colour H×W×3 in the order BGR; uint8 or uint16. Opaque alpha is dropped.

    Raises:
        ValueError: the stream is damaged, too short, far too long or far too slow.
        ImageUnsupportedError: ``image_alpha``.
        ImageSizeError: ``image_too_large``, if it takes more than MAX_WORK_S.
    """
    width, height, depth, colour, _, _, interlaced = struct.unpack_from(">IIBBBBB", data, 16)
    passes = []
    for top, left, down, right in _PASSES if interlaced else ((0, 0, 1, 1),):
        layout = _Layout(len(range(left, width, right)), len(range(top, height, down)), depth, colour)
        if layout.width and layout.height:
            passes.append((layout, (slice(top, None, down), slice(left, None, right))))
    in_bytes, out_bytes = sum(map(len, pieces)), sum(layout.row_bytes * layout.height for layout, _ in passes)
    work = _Work(estimate_s(in_bytes, out_bytes) + (out_bytes * _S_PER_SCATTERED_BYTE if interlaced else 0.0))
    stream = Inflater(pieces, Meter(in_bytes, out_bytes))
    shape = (height, width, 3) if colour in (2, 6) else (height, width)
    pixels: Pixels = np.empty(shape, np.uint16) if depth == 16 else np.empty(shape, np.uint8)
    for layout, place in passes:
        _decode_pass(stream, layout, pixels[place], work, opencv, name)
    stream.finish(_SURPLUS_BYTES)
    return pixels


def _decode_pass(stream: Inflater, layout: _Layout, into: Pixels, work: _Work, opencv: OpenCV, name: str) -> None:
    rows = max(1, _BAND_BYTES // layout.row_bytes)
    above = b""
    for top in range(0, layout.height, rows):
        count = min(rows, layout.height - top)
        filtered = stream.read(count * layout.row_bytes)
        work.add(filtered, layout.row_bytes, name)
        file = layout.png(above + filtered, bool(above) + count)
        band = opencv(file)
        if band is None:
            raise ValueError("it cannot be decoded")
        above = b"\0" + _as_stored(band[-1], layout.colour)
        band = band[-count:]
        if layout.colour >= 4:
            band = without_alpha(band, 3 if into.ndim == 3 else 1, name)
        into[top : top + count] = band


def _as_stored(row: np.ndarray, colour: int) -> bytes:
    """Return a decoded row in the channel order and byte order of PNG."""
    ordered = {0: row, 2: row[..., ::-1], 4: row[..., 2:]}.get(colour)
    if ordered is None:
        ordered = row[..., [2, 1, 0, 3]]
    return ordered.astype(row.dtype.newbyteorder(">")).tobytes()


def _chunk(kind: bytes, payload: bytes) -> bytes:
    return b"".join(
        (struct.pack(">I", len(payload)), kind, payload, struct.pack(">I", zlib.crc32(payload, zlib.crc32(kind))))
    )
