"""Judge the bytes of a DICOM file before they are parsed: prefix, meta header, syntax, lengths, depth and size.

pydicom inflates a deflated data set without a bound, and follows nested sequences by recursion. So the structure is
walked here first, iteratively (PS3.5 sections 7.1, 7.5 and A.4; PS3.10 section 7.1). Nothing is decoded.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass

from edge_runtime.dicom.refusals import Refusal, refused
from edge_runtime.dicom.syntaxes import DEFLATED, EXPLICIT_LITTLE, SYNTAXES, Syntax
from edge_runtime.errors import DicomError, EdgeError

MOST_BYTES = 96 << 20
"""Largest file and largest inflated data set in bytes. They are held twice while they are parsed."""

MOST_DEPTH = 32
"""Deepest nesting of sequences. Structured reports are the deepest objects in use, with under 20 levels."""

MOST_ELEMENTS = 200_000
"""Largest number of elements and items in a file."""

MOST_META = 1 << 16
UNDEFINED = 0xFFFFFFFF
ITEM, ITEM_END, SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
PIXELS, FLOAT_PIXELS, DOUBLE_PIXELS = 0x7FE00010, 0x7FE00008, 0x7FE00009
_LONG = frozenset(b"OB OD OF OL OV OW SQ SV UC UN UR UT UV".split())
_SHORT = frozenset(b"AE AS AT CS DA DS DT FD FL IS LO LT PN SH SL SS ST TM UI UL US".split())
_START = 132
_DECLARED = {
    0x00280002: "samples",
    0x00280008: "frames",
    0x00280010: "rows",
    0x00280011: "columns",
    0x00280100: "bits",
}


@dataclass(frozen=True)
class Judged:
    """A file that may be parsed.

    Attributes:
        data: the whole file; a deflated one is inflated, with the syntax Explicit VR Little Endian.
        syntax: its transfer syntax, as the file states it.
        class_uid: Media Storage SOP Class UID of the meta header; empty if it has none.
    """

    data: bytes
    syntax: Syntax
    class_uid: str


def is_dicom(head: bytes) -> bool:
    """Return whether a file that begins with these 132 bytes or more has the prefix of DICOM files."""
    return head[128:_START] == b"DICM"


def class_in_meta(head: bytes) -> str:
    """Return the SOP class that the meta header states; empty if it is not in the first bytes of the file."""
    try:
        return _meta(head, "")[1]
    except EdgeError:
        return ""


def judge(data: bytes, name: str) -> Judged:
    """Check a file.

    Args:
        data: the whole file.
        name: its name in errors.

    Raises:
        DicomError: ``dicom_no_prefix``, ``dicom_meta``, ``dicom_compression``, ``dicom_truncated``,
            ``dicom_damaged``, ``dicom_too_deep`` or ``dicom_too_large``.
    """
    if len(data) > MOST_BYTES:
        raise too_large(name, f"{len(data)} bytes")
    if not is_dicom(data):
        raise refused(Refusal.NO_PREFIX, name, "no DICM at byte 128", "a DICOM file (PS3.10). Store it as one.")
    uid, class_uid, end = _meta(data, name)
    syntax = SYNTAXES.get(uid)
    if syntax is None:
        found = "a transfer syntax that is not known"
        raise refused(Refusal.COMPRESSION, name, found, "a lossless one of PS3.5. Decompress it (dcmdjpeg, gdcmconv).")
    if not syntax.readable:
        expected = "single images without video compression. Export a frame as a DICOM image."
        raise refused(Refusal.COMPRESSION, name, syntax.name, expected)
    if uid == DEFLATED:
        data, end = _inflated(data, end, name)
    _Walk(data, name, syntax).through(end)
    return Judged(data, syntax, class_uid)


def too_large(name: str, found: str, most: int = MOST_BYTES) -> DicomError:
    """Return the error ``dicom_too_large``."""
    return refused(Refusal.TOO_LARGE, name, found, f"at most {most} bytes. Export fewer frames, or a smaller image.")


def _meta(data: bytes, name: str) -> tuple[str, str, int]:
    """Return transfer syntax, SOP class and end of the meta header: group 0002, Explicit VR Little Endian."""
    place, found = _START, {}
    while data[place : place + 2] == b"\x02\0" and place < _START + MOST_META:
        try:
            _, element, vr = struct.unpack_from("<HH2s", data, place)
            if vr in _LONG:
                size, start = struct.unpack_from("<I", data, place + 8)[0], place + 12
            else:
                size, start = struct.unpack_from("<H", data, place + 6)[0], place + 8
        except struct.error:
            raise _cut(name) from None
        if vr not in _LONG | _SHORT or start + size > min(len(data), _START + MOST_META) or element in found:
            raise refused(Refusal.META, name, "a damaged meta header", "one as in PS3.10. Store the object again.")
        found[element] = data[start : start + size]
        place = start + size
    uid = _uid(found.get(0x0010, b""))
    if not uid:
        expected = "one with a transfer syntax (PS3.10). Store the object again."
        raise refused(Refusal.META, name, "a meta header without transfer syntax", expected)
    return uid, _uid(found.get(0x0002, b"")), place


def _uid(value: bytes) -> str:
    return value.rstrip(b"\0 ").decode("ascii", "replace")


def _inflated(data: bytes, end: int, name: str) -> tuple[bytes, int]:
    """Return the file with its data set inflated (PS3.5 A.5), and where the data set begins."""
    meta = bytes(data[_START:end])
    old, new = DEFLATED.encode() + b"\0" * (len(DEFLATED) % 2), EXPLICIT_LITTLE.encode() + b"\0"
    place = meta.find(b"\x02\0\x10\0UI")
    value = struct.pack("<H", len(new)) + new
    meta = meta[: place + 6] + value + meta[place + 8 + struct.unpack_from("<H", meta, place + 6)[0] :]
    del old
    machine = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        body = machine.decompress(data[end:], MOST_BYTES)
    except zlib.error:
        raise refused(Refusal.DAMAGED, name, "a deflated data set that does not inflate", _WHOLE) from None
    if machine.unconsumed_tail or (not machine.eof and len(body) >= MOST_BYTES):
        raise too_large(name, f"a data set that inflates to more than {MOST_BYTES} bytes")
    if not machine.eof:
        raise _cut(name)
    head = b"\0" * 128 + b"DICM" + meta
    return head + body, len(head)


_WHOLE = "a whole file. Copy it again from its source."


def _cut(name: str) -> Exception:
    return refused(Refusal.TRUNCATED, name, "a length that runs past the end", _WHOLE)


@dataclass
class _Level:
    """An open data set or sequence: where it ends (None: at a delimiter), and how its elements are written."""

    end: int | None
    items: bool
    implicit: bool
    little: bool


class _Walk:
    """One walk through the elements of a file."""

    def __init__(self, data: bytes, name: str, syntax: Syntax) -> None:
        self._data, self._name, self._syntax = data, name, syntax
        self._count = 0

    def through(self, place: int) -> None:
        """Visit every element and item once."""
        levels = [_Level(len(self._data), False, self._syntax.implicit, self._syntax.little)]
        seen: set[int] = set()
        while levels:
            level = levels[-1]
            if level.end is not None and place >= level.end:
                if place > level.end:
                    raise _cut(self._name)
                levels.pop()
                continue
            place = self._next(place, level, levels, seen)

    def _next(self, place: int, level: _Level, levels: list[_Level], seen: set[int]) -> int:
        self._count += 1
        if self._count > MOST_ELEMENTS:
            raise refused(
                Refusal.TOO_LARGE, self._name, "too many elements", f"at most {MOST_ELEMENTS}. Export fewer frames."
            )
        tag, size, start, container, implicit = self._header(place, level, outermost=len(levels) == 1)
        if tag is None:
            return len(self._data)
        if tag in (ITEM_END, SEQUENCE_END):
            if size or level.end is not None or level.items is not (tag == SEQUENCE_END):
                raise self._damaged("a delimiter that ends nothing")
            levels.pop()
            return start
        if level.items is not (tag == ITEM):
            raise self._damaged("an item outside a sequence, or an element between items")
        if len(levels) == 1:
            if tag in seen:
                raise self._damaged("an element twice")
            seen.add(tag)
        bound = level.end if level.end is not None else len(self._data)
        if size != UNDEFINED and start + size > bound:
            raise _cut(self._name)
        if tag == PIXELS and size == UNDEFINED:
            return self._fragments(start, level)
        if level.items or container or size == UNDEFINED:
            if len(levels) > 2 * MOST_DEPTH:
                found = f"sequences nested deeper than {MOST_DEPTH}"
                raise refused(Refusal.TOO_DEEP, self._name, found, "fewer levels. Export the image alone.")
            end = None if size == UNDEFINED else start + size
            levels.append(_Level(end, not level.items, implicit, level.little))
            return start
        return start + size

    def _header(self, place: int, level: _Level, *, outermost: bool) -> tuple[int | None, int, int, bool, bool]:
        """Return tag, length, start of the value, whether it is a sequence, and whether that is implicit VR.

        The tag is None where only padding follows.
        """
        order = "<" if level.little else ">"
        try:
            group, element = struct.unpack_from(f"{order}HH", self._data, place)
            tag = group << 16 | element
            if outermost and tag == 0 and not self._data[place:].strip(b"\0"):
                return None, 0, place, False, False
            if group == 0xFFFE or level.implicit:
                size = struct.unpack_from(f"{order}I", self._data, place + 4)[0]
                container = level.implicit and group != 0xFFFE and _is_sequence(tag)
                return tag, size, place + 8, container, level.implicit
            vr = self._data[place + 4 : place + 6]
            if vr in _SHORT:
                return tag, struct.unpack_from(f"{order}H", self._data, place + 6)[0], place + 8, False, False
            if len(vr) < 2:
                raise _cut(self._name)
            if vr not in _LONG:
                raise self._damaged("a value representation that does not exist")
            size = struct.unpack_from(f"{order}I", self._data, place + 8)[0]
            # An unknown value of undefined length is a sequence in Implicit VR (PS3.5 6.2.2, note 7).
            return tag, size, place + 12, vr == b"SQ", vr == b"UN"
        except struct.error:
            raise _cut(self._name) from None

    def _fragments(self, place: int, level: _Level) -> int:
        """Return the end of encapsulated pixel data (PS3.5 A.4)."""
        if level.implicit or not level.little or not self._syntax.compressed:
            raise self._damaged("fragments in a syntax without compression")
        while True:
            self._count += 1
            try:
                group, element, size = struct.unpack_from("<HHI", self._data, place)
            except struct.error:
                raise _cut(self._name) from None
            tag, place = group << 16 | element, place + 8
            if tag == SEQUENCE_END and size == 0:
                return place
            if tag != ITEM or size == UNDEFINED:
                raise self._damaged("pixel data without whole fragments")
            place += size
            if place > len(self._data) or self._count > MOST_ELEMENTS:
                raise _cut(self._name)

    def _damaged(self, found: str) -> Exception:
        return refused(Refusal.DAMAGED, self._name, found, _WHOLE)


def _is_sequence(tag: int) -> bool:
    """Return whether the data dictionary says that an element is a sequence."""
    from pydicom.datadict import DicomDictionary

    entry = DicomDictionary.get(tag)
    return entry is not None and entry[0] == "SQ"
