"""Recognise slide files by name and first bytes, without the libraries that read them."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import BinaryIO

SUFFIXES = frozenset(
    (".svs", ".ndpi", ".mrxs", ".vms", ".vmu", ".scn", ".bif", ".svslide", ".avs", ".czi", ".zvi", ".dcm")
)
_TILE_OFFSETS = 324
_MOST_TAGS = 4096


def is_slide(path: str) -> bool:
    """Return whether a file is a slide by its suffix, a DICOM file, or a TIFF file in tiles or of 64 bits.

    All other files, and files that cannot be opened, are ordinary images to the caller.
    """
    try:
        file_path = Path(path)
        if not file_path.is_file():
            return False
        if file_path.suffix.lower() in SUFFIXES:
            return True
        with file_path.open("rb") as file:
            head = file.read(132)
            return head[128:] == b"DICM" or _is_tiled(file, head)
    except (OSError, ValueError):
        return False


def _is_tiled(file: BinaryIO, head: bytes) -> bool:
    """Return whether a TIFF file is a BigTIFF file, or its first directory has tiles."""
    order = {b"II": "<", b"MM": ">"}.get(head[:2])
    if order is None or len(head) < 8:
        return False
    version, offset = struct.unpack(f"{order}HI", head[2:8])
    if version != 42:
        return bool(version == 43)
    file.seek(offset)
    count = file.read(2)
    if len(count) < 2:
        return False
    tags = file.read(12 * min(struct.unpack(f"{order}H", count)[0], _MOST_TAGS))
    return any(
        struct.unpack_from(f"{order}H", tags, place)[0] == _TILE_OFFSETS for place in range(0, len(tags) - 11, 12)
    )
