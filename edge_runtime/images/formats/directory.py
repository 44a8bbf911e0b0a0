"""Read TIFF directories, which TIFF files and EXIF blocks contain (TIFF 6.0, section 2)."""

from __future__ import annotations

import struct

import numpy as np

from edge_runtime.serialisation.frozen import dataclass

_HEADS = {b"II*\0": "<", b"MM\0*": ">"}
_INTEGERS = {1: "B", 3: "H", 4: "I"}  # BYTE, SHORT, LONG: the types of all tags read here
_SIGNED = {6: "b", 8: "h", 9: "i"}  # SBYTE, SSHORT, SLONG: libtiff and Pillow accept an orientation of these types too
_ORIENTATION = 274
_MAX_ORIENTATIONS = 8
MAX_EXIF_BYTES = 1 << 20
"""Largest number of bytes read from an EXIF block, whose first directory is at its start. JPEG allows 64 KB."""
_MAX_VALUES = 1 << 20
"""Largest number of values read from one directory, over all tags. Images of 64 million pixels in strips of one row
have fewer unless they are under 128 px wide. Each value becomes a Python integer, so a file of megabytes could
otherwise require gigabytes of memory."""


@dataclass(frozen=True)
class Directory:
    """The integer tags of one directory, and the offset of the next directory (0 for none)."""

    tags: dict[int, tuple[int, ...]]
    next_offset: int

    def first(self, tag: int, default: int) -> int:
        """Return the first value of ``tag``, or ``default`` if the tag is absent or empty."""
        return (self.tags.get(tag) or (default,))[0]


def byte_order(data: bytes) -> str:
    """Return the byte order for :mod:`struct`: ``<`` or ``>``.

    Raises:
        ValueError: the block has no TIFF head.
    """
    if data[:4] not in _HEADS:
        raise ValueError(f"it begins with {data[:4]!r}, no TIFF head")
    return _HEADS[data[:4]]


def read_directory(data: bytes, offset: int, wanted: frozenset[int]) -> Directory:
    """Read the ``wanted`` tags of the directory at ``offset``.

    Raises:
        ValueError: the block has no TIFF head, or a wanted tag has a type other than unsigned integer, occurs twice
            (readers differ in which one they use), or has too many values.
        struct.error: an entry or its values lie outside the block.
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
            raise ValueError(f"tag {tag} occurs twice")
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
    """Return the orientation in the directory at ``offset``: 2..8, or 1 if the image is stored as shown.

    The result is 1 if the tag cannot be read: the directory is truncated or outside the block, the type is not an
    integer, or there is no value. It is also 1 for values outside 1..8, which TIFF 6.0 does not define. If the tag
    occurs several times, readers differ in which one they use; the first value other than 1 is returned.
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
    """Return the first value of the entry at position ``at`` of the table; 0 if it cannot be read."""
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
    """Return the orientation of an EXIF block, with or without its ``Exif`` prefix; see :func:`orientation`."""
    block = block.removeprefix(b"Exif\0\0")
    if len(block) < 8 or block[:4] not in _HEADS:
        return 1
    return orientation(block, struct.unpack_from(f"{_HEADS[block[:4]]}I", block, 4)[0])
