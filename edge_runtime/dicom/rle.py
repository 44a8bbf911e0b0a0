"""RLE frames (PS3.5 annex G), decoded with a bound."""

from __future__ import annotations

import struct

import numpy as np
import numpy.typing as npt

from edge_runtime.dicom.layout import SIZES, PixelLayout
from edge_runtime.dicom.refusals import Refusal, refused

_HEADER = 64
_WHOLE = "a whole one. Copy the file again from its source."


def decoded_rle(encoded: bytes, layout: PixelLayout, name: str) -> npt.NDArray[np.uint8] | npt.NDArray[np.uint16]:
    """Return the stored values of a frame: one segment for each byte of each sample, the most significant byte first.

    Args:
        encoded: the frame.
        layout: its layout.
        name: name in errors.

    Returns:
        H×W, or H×W×3 with the channels last.

    Raises:
        DicomError: ``dicom_decoding`` or ``dicom_size_wrong``.
    """
    wide, size = layout.allocated // 8, layout.rows * layout.columns
    planes = np.empty((layout.samples, wide, size), np.uint8)
    for segment, (start, end) in enumerate(_segments(encoded, layout.samples * wide, name)):
        data = _segment(encoded[start:end], size)
        if data is None:
            raise refused(Refusal.SIZE_WRONG, name, "an RLE segment of another length", f"{size} bytes: {SIZES}")
        planes[segment // wide, wide - 1 - segment % wide] = data
    values = np.ascontiguousarray(planes.transpose(0, 2, 1)).view(f"<u{wide}")[..., 0]
    pixels = values.reshape(layout.samples, layout.rows, layout.columns)
    return pixels[0] if layout.samples == 1 else np.ascontiguousarray(pixels.transpose(1, 2, 0))


def _segments(encoded: bytes, count: int, name: str) -> list[tuple[int, int]]:
    """Return start and end of each segment, from the header of the frame."""
    if len(encoded) < _HEADER:
        raise refused(Refusal.DECODING, name, "an RLE frame without header", _WHOLE)
    stated, *offsets = struct.unpack_from("<16I", encoded)
    found = list(zip(offsets[:count], [*offsets[1:count], len(encoded)], strict=True))
    if stated != count or any(not _HEADER <= start < end <= len(encoded) for start, end in found):
        expected = f"{count}, one after the other. {_WHOLE}"
        raise refused(Refusal.DECODING, name, f"an RLE frame of {stated} segments", expected)
    return found


def _segment(data: bytes, size: int) -> npt.NDArray[np.uint8] | None:
    """Return the ``size`` bytes of one segment (PS3.5 G.3.2); None if it has fewer or more."""
    out, place, end = bytearray(size), 0, 0
    while end < size:
        if place >= len(data):
            return None
        head = data[place]
        place += 1
        if head < 128:
            run = data[place : place + head + 1]
            if len(run) != head + 1:
                return None
            place += head + 1
        elif head > 128:
            run = data[place : place + 1] * (257 - head)
            place += 1
        else:
            continue
        if end + len(run) > size or not run:
            return None
        out[end : end + len(run)] = run
        end += len(run)
    return np.frombuffer(out, np.uint8) if len(data) - place <= 2 else None
