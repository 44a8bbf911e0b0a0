"""MRXS: a file beside a folder with ``Slidedat.ini``, ``Index.dat``, and ``Data0000.dat`` with the JPEG tiles."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from pathlib import Path

from tests.integration.slides.layouts.drawing import TILE, Pixels, jpeg, tiles

VERSION, IDENTITY = "01.02", "0123456789ABCDEF0123456789ABCDEF"
GENERAL = """\
[GENERAL]
SLIDE_VERSION = {version}
SLIDE_ID = {identity}
IMAGENUMBER_X = {across}
IMAGENUMBER_Y = {down}
OBJECTIVE_MAGNIFICATION = 20

[HIERARCHICAL]
HIER_COUNT = 1
NONHIER_COUNT = 0
INDEXFILE = Index.dat
HIER_0_NAME = Slide zoom level
HIER_0_COUNT = {count}
{sections}

[DATAFILE]
FILE_COUNT = 1
FILE_0 = Data0000.dat

"""
LEVEL = """\
[LEVEL_{number}]
OVERLAP_X = {overlap}
OVERLAP_Y = {overlap}
MICROMETER_PER_PIXEL_X = {microns}
MICROMETER_PER_PIXEL_Y = {microns}
IMAGE_CONCAT_FACTOR = {concat}
IMAGE_FILL_COLOR_BGR = 16777215
IMAGE_FORMAT = JPEG
DIGITIZER_WIDTH = {tile}
DIGITIZER_HEIGHT = {tile}

"""


def write_mrxs(path: Path, levels: Sequence[Pixels], microns: float = 4.0, *, overlap: int = 0) -> Path:
    """Write a slide; each level halves the one before, and level 0 is whole tiles, which may overlap."""
    folder = path.with_suffix("")
    folder.mkdir()
    down, across = (side // TILE for side in levels[0].shape[:2])
    data, pages = bytearray(), []
    for number, level in enumerate(levels):
        wide, entries = -(-level.shape[1] // TILE), []
        for count, tile in enumerate(tiles(level)):
            image, step = jpeg(tile), 2**number
            entries.append(((count // wide) * step * across + (count % wide) * step, len(data), len(image), 0))
            data += image
        pages.append(entries)
    (folder / "Data0000.dat").write_bytes(data)
    (folder / "Index.dat").write_bytes(_index(pages))
    (folder / "Slidedat.ini").write_text(_slidedat(len(levels), (across, down), microns, overlap))
    path.write_bytes(jpeg(levels[-1]))
    return path


def _slidedat(count: int, grid: tuple[int, int], microns: float, overlap: int) -> str:
    sections = "\n".join(f"HIER_0_VAL_{number}_SECTION = LEVEL_{number}" for number in range(count))
    text = GENERAL.format(
        version=VERSION, identity=IDENTITY, across=grid[0], down=grid[1], count=count, sections=sections
    )
    for number in range(count):
        concat = 0 if number == 0 else 1
        text += LEVEL.format(
            number=number, microns=microns * 2**number, concat=concat, tile=TILE, overlap=overlap / 2**number
        )
    return text


def _index(pages: list[list[tuple[int, int, int, int]]]) -> bytes:
    """A pointer to one pointer for each level, each to a page of tiles: number, offset, size, file."""
    head = (VERSION + IDENTITY).encode()
    roots = len(head) + 8
    records = roots + 4 * len(pages)
    found, body = [], bytearray()
    for entries in pages:
        found.append(records + len(body))
        first = records + len(body) + 8
        body += struct.pack("<iiii", 0, first, len(entries), 0)
        body += b"".join(struct.pack("<iiii", *entry) for entry in entries)
    return head + struct.pack("<ii", roots, 0) + struct.pack(f"<{len(found)}i", *found) + bytes(body)
