"""The TIFF directory structure, which TIFF files and EXIF blocks share (TIFF 6.0, section 2)."""

from __future__ import annotations

import struct
from dataclasses import dataclass

_HEADS = {b"II*\0": "<", b"MM\0*": ">"}
_INTEGERS = {1: "B", 3: "H", 4: "I"}  # BYTE, SHORT, LONG; no tag that is read here has another type
_ORIENTATION = 274
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


def exif_orientation(block: bytes) -> int:
    """The orientation that an EXIF block (with or without its ``Exif`` prefix) declares; 1 for none.

    Raises:
        ValueError: the block is damaged, so whether the picture is rotated cannot be told.
    """
    block = block.removeprefix(b"Exif\0\0")
    try:
        (offset,) = struct.unpack_from(f"{byte_order(block)}I", block, 4)
        return read_directory(block, offset, frozenset({_ORIENTATION})).first(_ORIENTATION, 1)
    except (struct.error, ValueError) as error:
        raise ValueError(f"its EXIF block cannot be read: {error}") from None
