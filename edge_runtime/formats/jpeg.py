"""JPEG (ITU-T T.81): every marker is walked up to an end-of-image marker that is really there.

OpenCV is given what libjpeg needs: tables, frame, scans, and the two segments that tell the colours, JFIF's APP0 and
Adobe's APP14. Comments, profiles, EXIF and what follows the end are left out.

JPEG has no checksum. Damage inside a scan shows only when the decoder stumbles over it, which
:mod:`edge_runtime.formats.decoding` listens for; a flipped bit that leads to valid codes stays unseen.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial

from edge_runtime.errors import ImageUnreadableError
from edge_runtime.formats.directory import MAX_EXIF_BLOCKS, exif_orientation
from edge_runtime.formats.header import MAX_PARTS, Format, Header, damaged, not_taken, too_many_parts, truncated
from edge_runtime.formats.scans import MAX_SCANS, coefficient_bytes, incomplete, work_s

_SOS, _EOI, _APP0, _APP1, _APP2, _APP14 = 0xDA, 0xD9, 0xE0, 0xE1, 0xE2, 0xEE
_TABLES = frozenset({0xC4, 0xDB, 0xDC, 0xDD})  # Huffman, quantisation, number of lines, restart interval
_METADATA = frozenset({*range(0xE0, 0xF0), 0xFE})  # application segments and comments
_PROGRESSIVE = 0xC2
_HUFFMAN_FRAMES = frozenset({0xC0, 0xC1, _PROGRESSIVE})  # baseline, extended, progressive
_OTHER_FRAMES = frozenset({0xC3, *range(0xC5, 0xC8), *range(0xC9, 0xCC), *range(0xCD, 0xD0)})

# Inside a scan, FF 00 is a stuffed FF and FF D0..D7 are restarts; any other FF xx ends the scan.
_MARKER = re.compile(rb"\xff([^\x00\xd0-\xd7\xff])", re.DOTALL)
_FILL = re.compile(rb"\xff*(?=\xff)")  # FF bytes that may pad a marker (T.81, B.1.1.2)


@dataclass
class _Findings:
    """What the walk has met so far.

    Attributes:
        kept: where the parts begin and end that carry pixels; neighbours are joined.
        adobe: transforms that Adobe's segments name: 0 for RGB or CMYK, 1 for YCbCr, 2 for YCCK.
    """

    kept: list[tuple[int, int]] = field(default_factory=lambda: [(0, 2)])
    frame: bytes = b""
    orientation: int = 1
    exif_blocks: int = 0
    progressive: bool = False
    scans: list[bytes] = field(default_factory=list)
    jfif: bool = False
    adobe: set[int] = field(default_factory=set)
    multi_picture: bool = False
    end: int = 0

    def keep(self, start: int, stop: int) -> None:
        """Add a part that carries pixels."""
        if start == self.kept[-1][1]:
            start = self.kept.pop()[0]
        self.kept.append((start, stop))


def inspect(data: bytes, name: str) -> Header:
    """Walk all markers; see :func:`edge_runtime.formats.inspect`."""
    found = _Findings()
    for marker, payload, start, end in _walk(data, name):
        found.end = end
        if marker in _METADATA:
            kept = _note_metadata(found, marker, payload, name)
        else:
            kept = True
            _note(found, marker, payload, name)
        if kept:
            found.keep(start, end)
    if not found.frame or not found.scans:
        raise damaged(name, Format.JPEG, "it has no frame header or no scan")
    return _header(found, data, name)


def _walk(data: bytes, name: str) -> Iterator[tuple[int, memoryview, int, int]]:
    """Yield marker, payload, begin and end of each segment up to EOI; a scan belongs to its header's segment."""
    view = memoryview(data)
    at, marker, count = 2, 0, 0
    while marker != _EOI:
        count += 1
        if count > MAX_PARTS:
            raise too_many_parts(name, Format.JPEG)
        fill = _FILL.match(data, at)
        match = _MARKER.match(data, fill.end() if fill else at)
        if match is None:
            if at + 2 <= len(data):
                raise damaged(name, Format.JPEG, f"no marker stands at byte {at}")
            raise _without_end(data, name)
        marker, start, at = match[1][0], match.start(), match.end()
        if marker == _EOI:
            yield marker, view[at:at], start, at
            return
        if marker < 0xC0 or marker == 0xD8:  # reserved, or without a length; another start of an image
            raise damaged(name, Format.JPEG, f"marker {marker:02X} stands at byte {start}")
        (length,) = struct.unpack_from(">H", data, at)
        if length < 2:
            raise damaged(name, Format.JPEG, f"the segment at byte {at} has length {length}")
        if at + length > len(data):
            raise truncated(name, Format.JPEG, f"the segment at byte {at} needs {length} bytes")
        payload = view[at + 2 : at + length]
        at += length
        if marker == _SOS:
            following = _MARKER.search(data, at)
            if following is None:
                raise _without_end(data, name)
            at = following.start()
        yield marker, payload, start, at


def _without_end(data: bytes, name: str) -> ImageUnreadableError:
    return truncated(name, Format.JPEG, f"{len(data)} bytes without an end-of-image marker")


def _note(found: _Findings, marker: int, payload: memoryview, name: str) -> None:
    if marker in _OTHER_FRAMES:
        variant = f"a JPEG of frame type {marker - 0xC0} (lossless, hierarchical or arithmetic coding)"
        raise not_taken(name, variant, "baseline or progressive JPEG; save it as PNG")
    if marker in _HUFFMAN_FRAMES:
        if found.frame:
            raise damaged(name, Format.JPEG, "it has two frame headers")
        found.frame, found.progressive = bytes(payload), marker == _PROGRESSIVE
    elif marker == _SOS:
        if not found.frame:
            raise damaged(name, Format.JPEG, "a scan precedes the frame header")
        found.scans.append(bytes(payload))
        if len(found.scans) > MAX_SCANS:
            raise not_taken(name, f"a JPEG of more than {MAX_SCANS} scans", "about ten; save it as PNG")
    elif marker != _EOI and marker not in _TABLES:
        raise damaged(name, Format.JPEG, f"it has a segment of the unknown kind {marker:02X}")


def _note_metadata(found: _Findings, marker: int, payload: memoryview, name: str) -> bool:
    """Whether the decoder needs the segment to tell the colours."""
    head = bytes(payload[:12])
    if marker == _APP0 and head.startswith(b"JFIF\0"):
        found.jfif = True
        return True
    if marker == _APP14 and head.startswith(b"Adobe") and len(head) == 12:
        found.adobe.add(head[11])
        return True
    if marker == _APP1 and head.startswith(b"Exif\0"):
        found.exif_blocks += 1
        if found.exif_blocks > MAX_EXIF_BLOCKS:
            raise damaged(name, Format.JPEG, f"it has more than {MAX_EXIF_BLOCKS} EXIF blocks")
        if found.orientation == 1:  # of two EXIF blocks, readers obey one or the other
            found.orientation = exif_orientation(payload)
    elif marker == _APP2 and head.startswith(b"MPF\0"):
        found.multi_picture = True
    return False


def _essential(data: bytes, kept: list[tuple[int, int]]) -> memoryview | bytes:
    """The file without what carries no pixels; a part of the file, not copied, if that is in one piece."""
    view = memoryview(data)
    parts = [view[start:stop] for start, stop in kept]
    return parts[0] if len(parts) == 1 else b"".join(parts)


def _header(found: _Findings, data: bytes, name: str) -> Header:
    depth, height, width, components = struct.unpack_from(">BHHB", found.frame)
    if not (width and height) or components not in (1, 3, 4) or len(found.frame) != 6 + 3 * components:
        declared = f"{width}x{height}, {components} components"
        raise damaged(name, Format.JPEG, f"its frame header declares {declared}")
    try:
        if incomplete(found.frame, found.scans, found.progressive):
            raise damaged(name, Format.JPEG, "its scans leave out a part of the picture")
    except ValueError as error:
        raise damaged(name, Format.JPEG, str(error)) from None
    if components == 3 and (len(found.adobe) > 1 or (found.adobe == {0} and found.jfif) or found.adobe - {0, 1}):
        variant = (
            "a JPEG whose colours are RGB to one reader and YCbCr to another (its JFIF and Adobe segments disagree)"
        )
        raise not_taken(name, variant, "one of them; save the original as PNG")
    # A picture in several scans is joined in memory before any pixel of it is known.
    joined = coefficient_bytes(found.frame, width * height) if found.progressive or len(found.scans) > 1 else 0
    # In a multi-picture file (CIPA DC-007) the first picture is the photograph and the others are its
    # previews and gain maps; without that mark, a second picture is one of a sequence.
    another = data.startswith(b"\xff\xd8\xff", found.end) and not found.multi_picture
    return Header(
        Format.JPEG,
        width,
        height,
        channels=components,
        bit_depth=depth,
        cmyk=components == 4,
        orientation=found.orientation,
        frames=2 if another else 1,
        buffer_bytes=max(0, joined - width * height * components)  # OpenCV's copy of the pixels comes later
        + (sum(stop - start for start, stop in found.kept) if len(found.kept) > 1 else 0),
        work_s=work_s(found.frame, found.scans, found.progressive, found.end),
        stream=partial(_essential, data, found.kept),
    )
