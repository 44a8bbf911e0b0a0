"""Metadata never costs an image: only an orientation of 2..8 that can be read is refused, in every format."""

from __future__ import annotations

import io
import struct
from collections.abc import Callable

import cv2
import numpy as np
import pytest
from PIL import Image

from edge_runtime.errors import ImageError
from edge_runtime.images import reader
from tests.unit.images import hostile_files as make
from tests.unit.images.hostile_files import RGB, encode

Entry = tuple[int, int, int, int]


def block(*entries: Entry, at: int = 8, count: int | None = None, end: int | None = None) -> bytes:
    """A little-endian EXIF block of these entries, cut at ``end``."""
    table = bytearray(make.directory(list(entries)))
    if count is not None:
        struct.pack_into("<H", table, 0, count)
    return (b"II*\0" + struct.pack("<I", at) + bytes(table))[:end]


SAYS_NOTHING: dict[str, bytes] = {
    "empty": b"",
    "head alone": b"II*\0",
    "offset alone": b"II*\0\x08\0\0\0",
    "directory at byte 0": block((274, 3, 1, 6), at=0),
    "directory beyond the end": block((274, 3, 1, 6), at=1 << 31),
    "directory at the last byte": block((274, 3, 1, 6), at=25),
    "no entries": block(),
    "no next directory, orientation 1": block((274, 3, 1, 1), end=-4),
    "entry cut": block((274, 3, 1, 6), end=-6),
    "more entries than bytes": block((256, 3, 1, 6), count=65_535),
    "byte order of neither kind": b"IM*\0" + block((274, 3, 1, 6))[4:],
    "zeros": bytes(64),
    "orientation of type SLONG, negative": block((274, 9, 1, 0xFFFFFFFA)),
    "orientation of type ASCII": block((274, 2, 2, ord("6"))),
    "orientation of type 0": block((274, 0, 1, 6)),
    "orientation of no value": block((274, 3, 0, 6)),
    "orientations beyond the end": block((274, 3, 1000, 1 << 20)),
    "orientation 0": block((274, 3, 1, 0)),
    "orientation 9": block((274, 3, 1, 9)),
    "orientation 65,535": block((274, 3, 1, 65_535)),
    "orientation 1 twice": block((274, 3, 1, 1), (274, 3, 1, 1)),
    "another tag of value 274": block((256, 3, 1, 274), (257, 274, 274, 6)),
}
ROTATED: dict[str, bytes] = {
    "orientation 2": block((274, 3, 1, 2)),
    "orientation 8": block((274, 3, 1, 8)),
    "of type LONG": block((274, 4, 1, 6)),
    "of type SLONG": block((274, 9, 1, 6)),
    "of type SSHORT": block((274, 8, 1, 6)),
    "in a directory without next": block((274, 3, 1, 6), end=-4),
    "before entries that are cut": block((274, 3, 1, 6), (300, 3, 1, 1), count=40),
    "of two": block((274, 3, 1, 1), (274, 3, 1, 3)),
    "big-endian": b"MM\0*\0\0\0\x08\0\1" + struct.pack(">HHIHH", 274, 3, 1, 6, 0) + bytes(4),
}


def with_block(kind: str, exif: bytes) -> bytes:
    """A file of the format with this EXIF block."""
    if kind == "JPEG":
        return make.with_segment(encode(RGB, "JPEG"), 0xE1, b"Exif\0\0" + exif)
    if kind == "PNG":
        data = encode(RGB, "PNG")
        return data[:33] + make.chunk(b"eXIf", exif) + data[33:]
    still = encode(RGB, "WEBP", lossless=True)[12:]
    (length,) = struct.unpack_from("<I", still, 4)
    extended = b"\x08\0\0\0" + struct.pack("<I", 23)[:3] * 2
    return make.riff((b"VP8X", extended), (b"VP8L", still[8 : 8 + length]), (b"EXIF", exif))


def shown(data: bytes) -> np.ndarray:
    """What OpenCV decodes of a file without metadata."""
    return cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("case", SAYS_NOTHING)
def test_a_block_without_a_readable_rotation_says_nothing(kind: str, case: str) -> None:
    options = {"lossless": True} if kind == "WEBP" else {}
    expected = shown(encode(RGB, kind, **options))
    np.testing.assert_array_equal(reader.read(with_block(kind, SAYS_NOTHING[case])).pixels, expected)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("case", ROTATED)
def test_a_readable_rotation_is_refused(kind: str, case: str) -> None:
    with pytest.raises(ImageError) as caught:
        reader.read(with_block(kind, ROTATED[case]))
    assert caught.value.code == "image_orientation"


TIFF_SAYS_NOTHING: dict[str, dict[str, int | Entry]] = {
    "0": {"t274": 0},
    "9": {"t274": 9},
    "type SLONG, negative": {"t274": (274, 9, 1, 0xFFFFFFFA)},
    "type ASCII": {"t274": (274, 2, 2, ord("6"))},
    "no value": {"t274": (274, 3, 0, 6)},
    "values beyond the end": {"t274": (274, 3, 99, 1 << 30)},
    "a resolution that is a file away": {"t282": (282, 5, 1, 1 << 30), "t296": (296, 2, 9, 1 << 30)},
}


@pytest.mark.parametrize("case", TIFF_SAYS_NOTHING)
def test_tags_of_a_tiff_that_carry_no_pixels_cost_nothing(case: str) -> None:
    pixels = np.arange(64, dtype=np.uint8)
    found = reader.read(make.tiff(body=pixels.tobytes(), **TIFF_SAYS_NOTHING[case])).pixels
    np.testing.assert_array_equal(found, pixels.reshape(8, 8))


@pytest.mark.parametrize("orientation", [2, 8, (274, 9, 1, 6)], ids=["2", "8", "6 of type SLONG"])
def test_a_tiff_that_is_rotated_is_refused(orientation: int | Entry) -> None:
    with pytest.raises(ImageError) as caught:
        reader.read(make.tiff(t274=orientation))
    assert caught.value.code == "image_orientation"


PILLOW: dict[str, Callable[[], bytes]] = {
    "jpeg with everything": lambda: encode(
        RGB, "JPEG", exif=make.turned(0), comment=b"note", icc_profile=bytes(200_000), dpi=(72, 72)
    ),
    "tiff with everything": lambda: encode(
        RGB, "TIFF", icc_profile=bytes(9_000), description="a note" * 999, dpi=(72, 72), software="none"
    ),
    "tiff deflate in strips with everything": lambda: encode(
        RGB, "TIFF", compression="tiff_adobe_deflate", strip_size=190, tiffinfo={317: 2, 270: "a note" * 99}
    ),
    "png with everything": lambda: encode(RGB, "PNG", icc_profile=bytes(9_000), exif=make.turned(9), dpi=(72, 72)),
    "webp with everything": lambda: encode(
        RGB, "WEBP", lossless=True, icc_profile=bytes(9_001), exif=make.turned(9), xmp=b"x" * 1001
    ),
}


@pytest.mark.parametrize("case", PILLOW)
def test_pixels_are_the_same_with_metadata_taken_out(case: str) -> None:
    data = PILLOW[case]()
    found = reader.read(data).pixels
    np.testing.assert_array_equal(found, shown(data))
    if not case.startswith("jpeg"):
        np.testing.assert_array_equal(found[..., ::-1], np.asarray(Image.open(io.BytesIO(data))))
