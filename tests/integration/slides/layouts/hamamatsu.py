"""NDPI: TIFF with offsets of 64 bits. Each level is one JPEG image in one strip, with restart markers."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tests.integration.slides.layouts.drawing import Pixels, jpeg

RESTART = 8
"""Blocks of eight pixels between two markers: 64 pixels, of which the width must be a multiple."""
_SHORT, _LONG, _ASCII, _RATIONAL, _SLONG, _FLOAT = 3, 4, 2, 5, 9, 11


@dataclass(frozen=True)
class _Image:
    """An image of the file; the lens is -1 for a macro image."""

    width: int
    height: int
    data: bytes
    lens: float
    microns: float


def write_ndpi(path: Path, levels: Sequence[Pixels], microns: float = 4.0) -> tuple[Path, list[bytes]]:
    """Write a slide and a macro image; return its path and the JPEG image of each level."""
    wide, found = levels[0].shape[1], []
    for level in levels:
        step = wide / level.shape[1]
        data = jpeg(level, restart=RESTART)
        found.append(_Image(level.shape[1], level.shape[0], data, 20 / step, microns * step))
    macro = np.full((64, 128, 3), 230, np.uint8)
    images = [*found, _Image(128, 64, jpeg(macro), -1.0, 50.0)]
    content = bytearray(b"II*\0" + struct.pack("<Q", 12))
    for number, image in enumerate(images):
        content += _directory(len(content), image, last=number == len(images) - 1)
    path.write_bytes(content)
    return path, [image.data for image in found]


def _directory(start: int, image: _Image, *, last: bool) -> bytes:
    """Return a directory, what it refers to, and its strip, for a place in the file.

    After the entries stand the next directory as 64 bits, then the upper 32 bits of every value.
    """
    per_centimetre = struct.pack("<II", round(1e7 / image.microns), 1000)
    tags: list[tuple[int, int, int, bytes]] = [
        (256, _LONG, 1, struct.pack("<I", image.width)),
        (257, _LONG, 1, struct.pack("<I", image.height)),
        (258, _SHORT, 3, struct.pack("<HHH", 8, 8, 8)),
        (259, _SHORT, 1, struct.pack("<I", 7)),
        (262, _SHORT, 1, struct.pack("<I", 6)),
        (271, _ASCII, 10, b"Hamamatsu\0"),
        (273, _LONG, 1, b""),  # the strip, whose place is known below
        (277, _SHORT, 1, struct.pack("<I", 3)),
        (278, _LONG, 1, struct.pack("<I", image.height)),
        (279, _LONG, 1, struct.pack("<I", len(image.data))),
        (282, _RATIONAL, 1, per_centimetre),
        (283, _RATIONAL, 1, per_centimetre),
        (296, _SHORT, 1, struct.pack("<I", 3)),
        (65420, _LONG, 1, struct.pack("<I", 1)),  # the format
        (65421, _FLOAT, 1, struct.pack("<f", image.lens)),
        (65422, _SLONG, 1, bytes(4)),
        (65423, _SLONG, 1, bytes(4)),
        (65424, _SLONG, 1, bytes(4)),  # the focal plane
    ]
    entries, behind = bytearray(), bytearray()
    after = start + 2 + (12 + 4) * len(tags) + 8
    strip = after + sum(len(value) for *_, value in tags if len(value) > 4)
    for code, kind, count, value in tags:
        here = struct.pack("<I", strip) if code == 273 else value
        if len(value) > 4:
            here = struct.pack("<I", after + len(behind))
            behind += value
        entries += struct.pack("<HHI", code, kind, count) + here
    following = 0 if last else strip + len(image.data)
    return (
        struct.pack("<H", len(tags))
        + entries
        + struct.pack("<Q", following)
        + bytes(4 * len(tags))
        + behind
        + image.data
    )
