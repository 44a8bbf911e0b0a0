"""Pyramids in CZI, the layout of Zeiss: segments with tiles, a directory of them, and XML with the scale."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from pathlib import Path

import imagecodecs

from tests.integration.slides.layouts.drawing import TILE, Pixels, tiles

ZSTD, JPEG_XR = 5, 4
_BGR24 = 3


def packed(tile: Pixels) -> bytes:
    """Return the data of a tile."""
    return bytes(imagecodecs.zstd_encode(tile[..., ::-1].tobytes()))


def _segment(name: bytes, content: bytes) -> bytes:
    return struct.pack("<16sqq", name, len(content), len(content)) + content


def _entry(place: int, compression: int, x: int, y: int, step: int) -> bytes:
    """Return the entry of a tile in the directory; sizes are pixels of level 0."""
    head = struct.pack("<2siqiib5xi", b"DV", _BGR24, place, 0, compression, step > 1, 3)
    sides = ((b"X", x, TILE * step, TILE), (b"Y", y, TILE * step, TILE), (b"C", 0, 1, 1))
    return head + b"".join(struct.pack("<4siifi", name, start, size, 0, own) for name, start, size, own in sides)


def _tiles(levels: Sequence[Pixels], compression: int, begin: int) -> Iterable[tuple[bytes, bytes]]:
    """Yield the entry and the segment of each tile."""
    place = begin
    for level in levels:
        step = levels[0].shape[1] // level.shape[1]
        across = level.shape[1] // TILE
        for number, tile in enumerate(tiles(level)):
            row, column = divmod(number, across)
            entry = _entry(place, compression, column * TILE * step, row * TILE * step, step)
            data = packed(tile)
            head = (struct.pack("<iiq", 0, 0, len(data)) + entry).ljust(256, b"\0")
            segment = _segment(b"ZISRAWSUBBLOCK", head + data)
            yield entry, segment
            place += len(segment)


def write_czi(path: Path, levels: Sequence[Pixels], microns: float = 4.0, *, compression: int = ZSTD) -> Path:
    """Write the levels of a slide, whose sides are whole tiles."""
    assert all(side % TILE == 0 for level in levels for side in level.shape[:2])
    begin = 32 + 512
    entries, segments = zip(*_tiles(levels, compression, begin), strict=True)
    height, width = levels[0].shape[:2]
    scale = "".join(f'<Distance Id="{axis}"><Value>{microns / 1e6!r}</Value></Distance>' for axis in "XY")
    xml = (
        f"<ImageDocument><Metadata><Information><Image><SizeX>{width}</SizeX><SizeY>{height}</SizeY></Image>"
        f"</Information><Scaling><Items>{scale}</Items></Scaling></Metadata></ImageDocument>"
    ).encode()
    directory = _segment(b"ZISRAWDIRECTORY", struct.pack("<i124x", len(entries)) + b"".join(entries))
    metadata = _segment(b"ZISRAWMETADATA", struct.pack("<ii248x", len(xml), 0) + xml)
    attachments = _segment(b"ZISRAWATTDIR", struct.pack("<i252x", 0))
    first = begin + sum(map(len, segments))
    second, third = first + len(directory), first + len(directory) + len(metadata)
    header = struct.pack("<iiii16s16siqqiq", 1, 0, 0, 0, b"a" * 16, b"a" * 16, 0, first, second, 0, third)
    file = _segment(b"ZISRAWFILE", header.ljust(512, b"\0"))
    path.write_bytes(b"".join((file, *segments, directory, metadata, attachments)))
    return path
