"""Recognise slide files by name and first bytes, without the libraries that read them.

A slide that no library here reads must be refused by its name: a VSI file, for one, is a TIFF file that holds small
overviews alone, and would be answered as an image.
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import BinaryIO

from edge_runtime.errors import SlideError

UNREAD = {
    ".vsi": "a slide of Olympus or Evident (VSI)",
    ".ets": "the tiles of a slide of Olympus or Evident (ETS)",
    ".isyntax": "a slide of Philips (iSyntax)",
    ".zvi": "a slide of Zeiss (ZVI)",
    ".kfb": "a slide of KFBio (KFB)",
    ".sdpc": "a slide of Sqray (SDPC)",
    ".lif": "a container of Leica (LIF)",
    ".ndpis": "a list of NDPI files, one for each fluorescent dye (NDPIS)",
}
"""Suffixes of slides that no library here reads, and what such a file is."""
SUFFIXES = frozenset(
    (".svs", ".ndpi", ".mrxs", ".vms", ".vmu", ".scn", ".bif", ".svslide", ".avs", ".czi", ".dcm", *UNREAD)
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


def check_readable(path: str) -> None:
    """Reject a slide that no library here reads, by its suffix.

    Raises:
        SlideError: ``slide_format``.
    """
    if what := UNREAD.get(Path(path).suffix.lower()):
        raise SlideError(
            f"{path}: found {what}, which cannot be read here, expected SVS, NDPI, MRXS, DICOM or OME-TIFF. Export it "
            "with the scanner's program as DICOM, or as RGB OME-TIFF in tiles.",
            code="slide_format",
        )


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
