"""The TIFF directory structure, which TIFF files and EXIF blocks share (TIFF 6.0, section 2)."""

from __future__ import annotations

import struct
from dataclasses import dataclass

import numpy as np

_HEADS = {b"II*\0": "<", b"MM\0*": ">"}
_INTEGERS = {1: "B", 3: "H", 4: "I"}  # BYTE, SHORT, LONG; no tag that is read here has another type
_SIGNED = {6: "b", 8: "h", 9: "i"}  # SBYTE, SSHORT, SLONG: libtiff and Pillow take an orientation of these, too
_ORIENTATION = 274
_MAX_ORIENTATIONS = 8
MAX_EXIF_BYTES = 1 << 20
"""Most of an EXIF block that is read; its first directory stands at its beginning. JPEG holds 64 KB at most."""
_MAX_VALUES = 1 << 20
"""Most values that one directory is asked for, all tags together: 64 million pixels in strips of one row need fewer
unless they are under 128 px wide. Each becomes a Python integer: a file of megabytes could ask for gigabytes."""


@dataclass(frozen=True)
class Directory:
    """The integer tags of one directory, and where the next directory stands (0 for none)."""

    tags: dict[int, tuple[int, ...]]
    next_offset: int

    def first(self, tag: int, default: int) -> int:
        """The first value of ``tag``; ``default`` where the tag is absent or empty."""
        return (self.tags.get(tag) or (default,))[0]


def byte_order(data: bytes) -> str:
    """``<`` or ``>`` for :mod:`struct`.

    Raises:
        ValueError: the block has no TIFF head.
    """
    if data[:4] not in _HEADS:
        raise ValueError(f"it begins with {data[:4]!r}, no TIFF head")
    return _HEADS[data[:4]]


def read_directory(data: bytes, offset: int, wanted: frozenset[int]) -> Directory:
    """Read the ``wanted`` tags of the directory at ``offset``.

    Raises:
        ValueError: the block has no TIFF head, or a wanted tag has a type that is no unsigned integer, stands
            there twice (readers differ in which one counts), or has too many values.
        struct.error: an entry or its values lie beyond the end.
    """
    order = byte_order(data)
    (count,) = struct.unpack_from(f"{order}H", data, offset)
    tags: dict[int, tuple[int, ...]] = {}
    values = 0
    for index in range(count):
        at = offset + 2 + 12 * index
        tag, kind, length = struct.unpack_from(f"{order}HHI", data, at)
        if tag not in wanted:
            continue
        if kind not in _INTEGERS:
            raise ValueError(f"tag {tag} has type {kind}, no unsigned integer")
        if tag in tags:
            raise ValueError(f"tag {tag} stands there twice")
        values += length
        if values > _MAX_VALUES:
            raise ValueError(f"its tags have more than {_MAX_VALUES} values")
        layout = f"{order}{length}{_INTEGERS[kind]}"
        if struct.calcsize(layout) > 4:
            (place,) = struct.unpack_from(f"{order}I", data, at + 8)
        else:
            place = at + 8
        tags[tag] = struct.unpack_from(layout, data, place)
    (following,) = struct.unpack_from(f"{order}I", data, offset + 2 + 12 * count)
    return Directory(tags, following)


def orientation(data: bytes, offset: int) -> int:
    """The orientation that the directory at ``offset`` declares: 2..8, or 1 for stored as shown.

    What cannot be read says nothing about the pixels: a directory that is cut or beyond the end, a type that is no
    integer, no value at all. So do values outside 1..8, which TIFF 6.0 does not define. Where the tag stands
    twice, readers differ in which one counts, and any rotation is told.
    """
    if data[:4] not in _HEADS or not 8 <= offset <= len(data) - 2:
        return 1
    order = _HEADS[data[:4]]
    (count,) = struct.unpack_from(f"{order}H", data, offset)
    table = data[offset + 2 : offset + 2 + 12 * count]
    tags = np.frombuffer(table[: len(table) // 12 * 12], f"{order}u2")[::6]
    values = (
        _first_value(data, order, table, 12 * index)
        for index in np.flatnonzero(tags == _ORIENTATION)[:_MAX_ORIENTATIONS].tolist()
    )
    return next((value for value in values if 2 <= value <= 8), 1)


def _first_value(data: bytes, order: str, table: bytes, at: int) -> int:
    """The first value of the entry at ``at`` of the table; 0 if it has none that can be read."""
    kind, length = struct.unpack_from(f"{order}HI", table, at + 2)
    code = (_INTEGERS | _SIGNED).get(kind)
    if code is None or not length:
        return 0
    layout = order + code
    if length * struct.calcsize(layout) <= 4:
        return int(struct.unpack_from(layout, table, at + 8)[0])
    (place,) = struct.unpack_from(f"{order}I", table, at + 8)
    if place + length * struct.calcsize(layout) > len(data):
        return 0
    return int(struct.unpack_from(layout, data, place)[0])


def exif_orientation(block: bytes) -> int:
    """The orientation of an EXIF block, with or without its ``Exif`` prefix; see :func:`orientation`."""
    block = block.removeprefix(b"Exif\0\0")
    if len(block) < 8 or block[:4] not in _HEADS:
        return 1
    return orientation(block, struct.unpack_from(f"{_HEADS[block[:4]]}I", block, 4)[0])
