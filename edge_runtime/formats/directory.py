"""The TIFF directory structure, which TIFF files and EXIF blocks share (TIFF 6.0, section 2)."""

from __future__ import annotations

import struct
from dataclasses import dataclass

_HEADS = {b"II*\0": "<", b"MM\0*": ">"}
_INTEGERS = {1: "B", 3: "H", 4: "I"}  # BYTE, SHORT, LONG; no tag that is read here has another type
_EXIF = b"Exif\0"  # and one byte, 0 or FF
_ORIENTATION = 274
_ORIENTATION_TYPES = {1: "B", 3: "H", 4: "I", 6: "b", 8: "h", 9: "i"}
MAX_EXIF_BLOCKS = 64
"""Most EXIF blocks that are read of one file; a file of megabytes could hold thousands of long ones."""
_MAX_VALUES = 1 << 18
"""Most values that one directory is asked for, all tags together: 64 million pixels in strips of one row need fewer
unless they are under 490 px wide. Each becomes a Python integer: a file of megabytes could ask for gigabytes."""


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


def orientation(block: bytes | memoryview, offset: int, order: str) -> int:
    """The orientation that the directory at ``offset`` declares: 2..8, or 1 (as stored) for none that can be read.

    Readers differ in how they take a tag that stands there twice, or in a longer integer type than EXIF wants. So
    any value from 2 to 8 counts, for the pixels may be shown rotated. What no reader can read is no rotation.
    """
    count = int.from_bytes(block[offset : offset + 2], "little" if order == "<" else "big")
    start = offset + 2
    entries = block[start : start + min(count, max(0, len(block) - start) // 12) * 12]
    for tag, kind, values, value in struct.iter_unpack(f"{order}HHI4s", entries):
        if tag != _ORIENTATION or kind not in _ORIENTATION_TYPES or not values:
            continue
        layout = struct.Struct(order + _ORIENTATION_TYPES[kind])
        held, place = value, 0
        if values * layout.size > 4:
            (place,) = struct.unpack(f"{order}I", value)
            held = block
        if place + layout.size <= len(held):
            (found,) = layout.unpack_from(held, place)
            if 2 <= found <= 8:
                return int(found)
    return 1


def exif_orientation(block: bytes | memoryview) -> int:
    """The orientation that an EXIF block (with or without its ``Exif`` prefix) declares, as :func:`orientation`."""
    if bytes(block[:5]) == _EXIF:
        block = block[6:]
    order = _HEADS.get(bytes(block[:4]))
    if order is None or len(block) < 8:
        return 1
    (offset,) = struct.unpack_from(f"{order}I", block, 4)
    return orientation(block, offset, order) if offset >= 8 else 1
