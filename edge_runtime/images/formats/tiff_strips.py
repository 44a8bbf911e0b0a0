"""Decode TIFF strips: uncompressed or Deflate, with or without horizontal differencing (TIFF 6.0, section 14)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np

from edge_runtime.images.formats.header import Pixels
from edge_runtime.images.formats.inflating import Inflater, Meter
from edge_runtime.images.formats.transparency import without_alpha

_BAND_BYTES = 1 << 18


@dataclass(frozen=True)
class Layout:
    """The layout of the rows in the strips.

    Attributes:
        width: pixels a row.
        height: rows of the image.
        samples: values a pixel, 1..4, interleaved.
        dtype: dtype of the stored values, with byte order, such as ``<u2``.
        rows: rows a strip; the last strip may have fewer.
        deflated: whether each strip is a zlib stream.
        predicted: whether each value except the first of a row is stored as the difference from the one before.
    """

    width: int
    height: int
    samples: int
    dtype: str
    rows: int
    deflated: bool
    predicted: bool

    @property
    def row_bytes(self) -> int:
        """Number of bytes of a decoded row."""
        return self.width * self.samples * np.dtype(self.dtype).itemsize


def decode(data: bytes, offsets: tuple[int, ...], counts: tuple[int, ...], layout: Layout, name: str) -> Pixels:
    """Decode strips that lie inside the file; ``offsets`` and ``counts`` are their positions and sizes in bytes.

    Returns:
        Grey H×W, or colour H×W×3 in the order BGR; uint8 or uint16. Opaque alpha is dropped.

    Raises:
        ValueError: a strip does not inflate to the bytes of its rows.
        ImageUnsupportedError: ``image_alpha``.
    """
    colour = layout.samples >= 3
    shape = (layout.height, layout.width) + ((3,) if colour else ())
    pixels: Pixels = np.empty(shape, np.dtype(layout.dtype).newbyteorder("="))
    strips = _deflated(data, offsets, counts, layout) if layout.deflated else _stored(data, offsets, layout)
    top = 0
    for band in _grouped(strips):
        stored = np.frombuffer(band, layout.dtype).reshape(-1, layout.width, layout.samples)
        values: Pixels = stored.astype(pixels.dtype, copy=False)  # type: ignore[assignment]
        if layout.predicted:
            values = values.cumsum(axis=1, dtype=pixels.dtype)
        pixels[top : top + len(values)] = _in_opencv_order(values, name)
        top += len(values)
    return pixels


def _in_opencv_order(values: Pixels, name: str) -> Pixels:
    """Return grey as H×W or colour as H×W×3 BGR, without alpha."""
    samples = values.shape[2]
    if samples == 1:
        return values[..., 0]
    if samples == 2:
        return without_alpha(values[..., [0, 0, 0, 1]], 1, name)
    if samples == 4:
        values = without_alpha(values, 3, name)
    return cv2.cvtColor(values, cv2.COLOR_RGB2BGR)  # type: ignore[return-value]


def _bands(layout: Layout, strips: int) -> Iterator[tuple[int, list[int]]]:
    """Yield the index of each strip, and the numbers of rows of its bands."""
    most = max(1, _BAND_BYTES // layout.row_bytes)
    for strip in range(strips):
        rows = min(layout.rows, layout.height - strip * layout.rows)
        yield strip, [min(most, rows - done) for done in range(0, rows, most)]


def _stored(data: bytes, offsets: tuple[int, ...], layout: Layout) -> Iterator[memoryview]:
    view = memoryview(data)
    for strip, bands in _bands(layout, len(offsets)):
        at = offsets[strip]
        for rows in bands:
            yield view[at : at + rows * layout.row_bytes]
            at += rows * layout.row_bytes


def _deflated(data: bytes, offsets: tuple[int, ...], counts: tuple[int, ...], layout: Layout) -> Iterator[bytes]:
    view = memoryview(data)
    meter = Meter(sum(counts), layout.row_bytes * layout.height)
    for strip, bands in _bands(layout, len(offsets)):
        stream = Inflater((view[offsets[strip] : offsets[strip] + counts[strip]],), meter)
        for rows in bands:
            yield stream.read(rows * layout.row_bytes)
        stream.finish()


def _grouped(bands: Iterator[bytes] | Iterator[memoryview]) -> Iterator[bytes | memoryview]:
    """Join small bands, as each band takes about ten microseconds in NumPy and OpenCV."""
    held: list[bytes | memoryview] = []
    size = 0
    for band in bands:
        held.append(band)
        size += len(band)
        if 2 * size >= _BAND_BYTES:
            yield held[0] if len(held) == 1 else b"".join(held)
            held, size = [], 0
    if held:
        yield b"".join(held)
