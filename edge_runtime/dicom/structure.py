"""The structure of a data set: every length and nesting is followed once, iteratively. Nothing is decoded.

pydicom follows nested sequences by recursion, and believes lengths. So they are checked here first (PS3.5 sections 7.1,
7.5 and A.4).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from edge_runtime.dicom.refusals import Refusal, refused
from edge_runtime.dicom.syntaxes import Syntax
from edge_runtime.errors import DicomError

MOST_DEPTH = 32
"""Deepest nesting of sequences. Structured reports are the deepest objects in use, with under 20 levels."""

MOST_ELEMENTS = 200_000
"""Largest number of elements and items in a file."""

UNDEFINED = 0xFFFFFFFF
ITEM, ITEM_END, SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
PIXELS = 0x7FE00010
LONG = frozenset(b"OB OD OF OL OV OW SQ SV UC UN UR UT UV".split())
"""Value representations with a length of four bytes (PS3.5 table 7.1-1)."""

SHORT = frozenset(b"AE AS AT CS DA DS DT FD FL IS LO LT PN SH SL SS ST TM UI UL US".split())
"""Value representations with a length of two bytes (PS3.5 table 7.1-2)."""

WHOLE = "a whole file. Copy it again from its source."
"""What is expected in place of a damaged file, and what to do."""


def check_structure(data: bytes, start: int, syntax: Syntax, name: str) -> None:
    """Follow the elements of a file from ``start`` to its end.

    Args:
        data: the whole file.
        start: place of the data set.
        syntax: its transfer syntax; a deflated data set is inflated already.
        name: its name in errors.

    Raises:
        DicomError: ``dicom_truncated``, ``dicom_damaged``, ``dicom_too_deep`` or ``dicom_too_large``.
    """
    _Walk(data, name, syntax).through(start)


def cut(name: str) -> DicomError:
    """Return the error ``dicom_truncated``."""
    return refused(Refusal.TRUNCATED, name, "a length that runs past the end", WHOLE)


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
                    raise cut(self._name)
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
            raise cut(self._name)
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
            if vr in SHORT:
                return tag, struct.unpack_from(f"{order}H", self._data, place + 6)[0], place + 8, False, False
            if len(vr) < 2:
                raise cut(self._name)
            if vr not in LONG:
                raise self._damaged("a value representation that does not exist")
            size = struct.unpack_from(f"{order}I", self._data, place + 8)[0]
            # An unknown value of undefined length is a sequence in Implicit VR (PS3.5 6.2.2, note 7).
            return tag, size, place + 12, vr == b"SQ", vr == b"UN"
        except struct.error:
            raise cut(self._name) from None

    def _fragments(self, place: int, level: _Level) -> int:
        """Return the end of encapsulated pixel data (PS3.5 A.4)."""
        if level.implicit or not level.little or not self._syntax.compressed:
            raise self._damaged("fragments in a syntax without compression")
        while True:
            self._count += 1
            try:
                group, element, size = struct.unpack_from("<HHI", self._data, place)
            except struct.error:
                raise cut(self._name) from None
            tag, place = group << 16 | element, place + 8
            if tag == SEQUENCE_END and size == 0:
                return place
            if tag != ITEM or size == UNDEFINED:
                raise self._damaged("pixel data without whole fragments")
            place += size
            if place > len(self._data) or self._count > MOST_ELEMENTS:
                raise cut(self._name)

    def _damaged(self, found: str) -> Exception:
        return refused(Refusal.DAMAGED, self._name, found, WHOLE)


def _is_sequence(tag: int) -> bool:
    """Return whether the data dictionary says that an element is a sequence."""
    from pydicom.datadict import DicomDictionary

    entry = DicomDictionary.get(tag)
    return entry is not None and entry[0] == "SQ"
