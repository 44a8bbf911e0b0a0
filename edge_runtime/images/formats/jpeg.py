"""Inspector for JPEG (ITU-T T.81): read all markers up to the end-of-image marker, which must be present.

JPEG has no checksum. Damage inside a scan is found only if the decoder reports it; see
:mod:`edge_runtime.images.formats.decoding`. A flipped bit that gives valid codes is not detected.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field

from edge_runtime.errors import ImageSizeError
from edge_runtime.images.formats.directory import exif_orientation
from edge_runtime.images.formats.header import (
    MAX_PARTS,
    MAX_PIXELS,
    Header,
    ImageFormat,
    damaged,
    joined,
    not_taken,
    too_many_parts,
    truncated,
)
from edge_runtime.images.formats.scans import MAX_SCANNED_PIXELS, MAX_SCANS, coefficient_bytes, incomplete, work_s

_SOS, _EOI, _COM = 0xDA, 0xD9, 0xFE
_APP0, _APP1, _APP2, _APP14, _APP15 = 0xE0, 0xE1, 0xE2, 0xEE, 0xEF
_ADOBE_BYTES = 12  # the last byte gives the colour space; 0 is RGB
_MAX_TABLE_BYTES = 1_000_000
"""Largest size of tables and headers. A file needs some kilobytes; the decoder builds every table again."""
_PROGRESSIVE = 0xC2
_HUFFMAN_FRAMES = frozenset({0xC0, 0xC1, _PROGRESSIVE})  # baseline, extended, progressive
_OTHER_FRAMES = frozenset({0xC3, *range(0xC5, 0xC8), *range(0xC9, 0xCC), *range(0xCD, 0xD0)})

# Inside a scan, FF 00 is a stuffed FF and FF D0..D7 are restarts; any other FF xx ends the scan.
_MARKER = re.compile(rb"\xff([^\x00\xd0-\xd7\xff])", re.DOTALL)
_FILL = re.compile(rb"\xff*(?=\xff)")  # FF bytes that may pad a marker (T.81, B.1.1.2)


_MAX_SCAN_BYTES, _SCAN_BYTES_FREE, _SCAN_BYTES_PER_PIXEL = 100_000_000, 1_000_000, 8
"""Largest size of all scans. Noise in full quality takes about 4 bytes a pixel; decoding 100 MB takes about 2 s."""


@dataclass
class _Findings:
    """The state of the walk through the markers."""

    frame: bytes = b""
    orientation: int = 1
    progressive: bool = False
    scans: list[bytes] = field(default_factory=list)
    multi_picture: bool = False
    end: int = 0
    in_scan: bool = False
    colours: set[str] = field(default_factory=set)
    scan_bytes_left: int = 0
    table_bytes: int = 0
    spans: list[tuple[int, int]] = field(default_factory=lambda: [(0, 2)])


def inspect(data: bytes, name: str) -> Header:
    """Read all markers; see :func:`edge_runtime.images.formats.inspect`."""
    found = _Findings()
    for marker, payload, start, end in _walk(data, found, name):
        if found.in_scan:
            found.spans.append((found.end, start))
        if not _is_ballast(marker, payload):
            found.spans.append((start, end))
            found.table_bytes += end - start
        if found.table_bytes > _MAX_TABLE_BYTES:
            raise damaged(name, ImageFormat.JPEG, f"it has more than {_MAX_TABLE_BYTES} bytes of tables")
        found.end, found.in_scan = end, marker == _SOS
        _note(found, marker, payload, name)
    if not found.frame or not found.scans:
        raise damaged(name, ImageFormat.JPEG, "it has no frame header or no scan")
    return _header(found, data, name)


def _is_ballast(marker: int, payload: bytes) -> bool:
    """Return whether decoding does not require a segment: comments, EXIF, profiles, previews."""
    if marker == _APP0:
        return not payload.startswith(b"JFIF\0")
    return marker == _COM or (_APP0 < marker <= _APP15 and not (marker == _APP14 and payload.startswith(b"Adobe")))


def _walk(data: bytes, found: _Findings, name: str) -> Iterator[tuple[int, bytes, int, int]]:
    """Yield marker, payload, start and end of each segment up to EOI; skip scan data and fill bytes."""
    at, marker, count = 2, 0, 0
    while marker != _EOI:
        count += 1
        if count > MAX_PARTS:
            raise too_many_parts(name, ImageFormat.JPEG)
        fill = _FILL.match(data, at)
        if marker == _SOS:
            match = _MARKER.search(data, at, at + found.scan_bytes_left)
            found.scan_bytes_left -= (match.start() if match else len(data)) - at
            if found.scan_bytes_left < 0:
                raise _out_of_proportion(found.frame, name)
        else:
            match = _MARKER.match(data, fill.end() if fill else at)
        if match is None:
            if at + 2 <= len(data) and marker != _SOS:
                raise damaged(name, ImageFormat.JPEG, f"there is no marker at byte {at}")
            raise truncated(name, ImageFormat.JPEG, f"{len(data)} bytes without an end-of-image marker")
        marker, at = match[1][0], match.end()
        if marker == _EOI:
            yield marker, b"", at - 2, at
            return
        (length,) = struct.unpack_from(">H", data, at)
        if length < 2:
            raise damaged(name, ImageFormat.JPEG, f"the segment at byte {at} has length {length}")
        if at + length > len(data):
            raise truncated(name, ImageFormat.JPEG, f"the segment at byte {at} needs {length} bytes")
        yield marker, data[at + 2 : at + length], at - 2, at + length
        at += length


def _note(found: _Findings, marker: int, payload: bytes, name: str) -> None:
    if marker in _OTHER_FRAMES:
        variant = f"a JPEG of frame type {marker - 0xC0} (lossless, hierarchical or arithmetic coding)"
        raise not_taken(name, variant, "baseline or progressive JPEG; save it as PNG")
    if marker in _HUFFMAN_FRAMES:
        if found.frame:
            raise damaged(name, ImageFormat.JPEG, "it has two frame headers")
        found.frame, found.progressive = payload, marker == _PROGRESSIVE
        found.scan_bytes_left = min(_MAX_SCAN_BYTES, _SCAN_BYTES_FREE + _SCAN_BYTES_PER_PIXEL * _pixels(payload))
    elif marker == _SOS:
        if not found.frame:
            raise damaged(name, ImageFormat.JPEG, "a scan precedes the frame header")
        found.scans.append(payload)
        if len(found.scans) > MAX_SCANS:
            raise not_taken(name, f"a JPEG of more than {MAX_SCANS} scans", "about ten; save it as PNG")
        if len(found.scans) * _pixels(found.frame) > MAX_SCANNED_PIXELS and _pixels(found.frame) <= MAX_PIXELS:
            found_scans = f"a JPEG of {_pixels(found.frame)} pixels in {len(found.scans)} scans or more"
            raise not_taken(name, found_scans, "about ten scans; save it as PNG")
    elif marker == _APP1 and payload.startswith(b"Exif\0\0"):
        if found.orientation == 1:  # readers differ in which of two EXIF blocks they use
            found.orientation = exif_orientation(payload)
    elif marker == _APP0 and payload.startswith(b"JFIF\0"):
        found.colours.add("YCbCr")
    elif marker == _APP14 and payload.startswith(b"Adobe") and len(payload) >= _ADOBE_BYTES:
        found.colours.add("YCbCr" if payload[_ADOBE_BYTES - 1] else "RGB")
    elif marker == _APP2 and payload.startswith(b"MPF\0"):
        found.multi_picture = True


def _pixels(frame: bytes) -> int:
    height, width = struct.unpack_from(">xHH", frame)
    return int(height * width)


def _out_of_proportion(frame: bytes, name: str) -> ImageSizeError:
    return ImageSizeError(
        f"{name}: found a JPEG file with far more bytes than its {_pixels(frame)} pixels need, expected at most "
        f"{_SCAN_BYTES_PER_PIXEL} a pixel and {_MAX_SCAN_BYTES} in all. Save it as PNG.",
        code="image_too_large",
    )


def _header(found: _Findings, data: bytes, name: str) -> Header:
    depth, height, width, components = struct.unpack_from(">BHHB", found.frame)
    if not (width and height) or components not in (1, 3, 4) or len(found.frame) != 6 + 3 * components:
        declared = f"{width}x{height}, {components} components"
        raise damaged(name, ImageFormat.JPEG, f"its frame header declares {declared}")
    colours = found.colours | ({"RGB"} if found.frame[6::3] == b"RGB" else set())
    if components == 3 and len(colours) > 1:  # readers differ in which mark they use
        raise not_taken(name, "a JPEG whose marks call its colours both RGB and YCbCr", "one of them; save it as PNG")
    try:
        if incomplete(found.frame, found.scans, found.progressive):
            raise damaged(name, ImageFormat.JPEG, "its scans leave out a part of the image")
    except ValueError as error:
        raise damaged(name, ImageFormat.JPEG, str(error)) from None
    # The decoder joins an image of several scans in memory before it computes a pixel.
    coefficients = coefficient_bytes(found.frame, width * height) if found.progressive or len(found.scans) > 1 else 0
    # In a multi-image file (CIPA DC-007) the first image is the photograph and the others are its
    # previews and gain maps; without that mark, a second image is one of a sequence.
    another = data.startswith(b"\xff\xd8\xff", found.end) and not found.multi_picture
    return Header(
        ImageFormat.JPEG,
        width,
        height,
        channels=components,
        bit_depth=depth,
        cmyk=components == 4,
        orientation=found.orientation,
        frames=2 if another else 1,
        parts=joined(found.spans, len(data)),
        work_s=work_s(found.frame, found.scans, found.progressive, sum(end - start for start, end in found.spans)),
        buffer_bytes=max(0, coefficients - width * height * components),  # OpenCV's copy of the pixels comes later
    )
