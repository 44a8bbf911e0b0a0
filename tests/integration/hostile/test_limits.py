"""Whatever a file claims, reading it ends soon and within 512 MiB.

All cases are read in one process of its own, so that one which hangs or takes all memory fails a test and not the run.
"""

from __future__ import annotations

import io
import os
import struct
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.integration.hostile.bounded_reader import SECONDS, read_apart, soon
from tests.unit.images import hostile_files as make
from tests.unit.images.hostile_files import GREY, encode

PEAK_MIB = 512
Outcome = str | tuple[int, ...]  # the code of a refusal, or the shape of an image of zeros

# What a file of some kilobytes claims: its outcome, and how it is made.
CLAIMS: dict[str, tuple[Outcome, Callable[[], bytes]]] = {
    "png of 64 million pixels": ((8000, 8000, 3), lambda: make.png(8000, 8000, colour=2)),
    "png of 64 million deep pixels": ((8000, 8000), lambda: make.png(8000, 8000, 16)),
    "png of 64 million deep colours": ("image_too_large", lambda: make.png(8000, 8000, 16, 2, b"")),
    "png of 37 million deep colours": ((6100, 6100, 3), lambda: make.png(6100, 6100, 16, 2)),
    "png of a gigapixel that is there": ("image_too_large", lambda: make.png(40_000, 25_000)),
    "png that inflates to 200 MB more than its rows": ((8, 8), lambda: make.png(8, 8, stream=make.zeros(200_000_000))),
    "png that inflates to 30 GB more than its rows": (
        "image_damaged",
        lambda: make.png(8, 8, stream=make.zeros(30_000_000_000)),
    ),
    "png with a text that inflates to 500 MB": ((8, 8), lambda: _png_beside(b"zTXt", b"note\0\0")),
    "png with a profile that inflates to 500 MB": ((8, 8), lambda: _png_beside(b"iCCP", b"p\0\0")),
    "png of 1.1 million empty chunks": (
        "image_damaged",
        lambda: make.png(8, 8, extra=make.chunk(b"spAm") * 1_100_000),
    ),
    "png of 200,000 kinds of chunks": ("image_damaged", lambda: make.png(8, 8, extra=_kinds(200_000))),
    "jpeg of 64 million pixels": ((8000, 8000), lambda: _black("L", 8000)),
    "progressive jpeg of 64 million colours": (
        "image_too_large",
        lambda: _black("RGB", 8000, progressive=True, subsampling=0),
    ),
    "png of 900 texts of 8 MB": ((8, 8), lambda: _texts(b"zTXt", b"k\0\0")),
    "png of 900 international texts of 8 MB": ((8, 8), lambda: _texts(b"iTXt", b"k\0\1\0\0\0")),
    "png with an EXIF block of 150 MB": (
        (8, 8),
        lambda: make.png(8, 8, extra=make.chunk(b"eXIf", b"II*\0\x08\0\0\0" + bytes(150_000_000))),
    ),
    "png of 98,000 empty IDAT": (
        (8, 8),
        lambda: make.png(8, 8).replace(make.chunk(b"IEND"), make.chunk(b"IDAT") * 98_000 + make.chunk(b"IEND")),
    ),
    "jpeg of 3,000 EXIF blocks of 5,400 orientations": (
        (24, 24),
        lambda: _segments(0xE1, b"Exif\0\0II*\0\x08\0\0\0" + make.directory([(274, 3, 1, 1)] * 5400), 3000),
    ),
    "jpeg of 3,000 profiles": ((24, 24), lambda: _segments(0xE2, bytes(65_000), 3000)),
    "jpeg of 99,000 comments": ((24, 24), lambda: _segments(0xFE, b"x", 99_000)),
    "jpeg of 14,000 quantisation tables": ((24, 24), lambda: _segments(0xDB, b"\0" + b"\1" * 64, 14_000)),
    "jpeg of 28,000 quantisation tables": ("image_damaged", lambda: _segments(0xDB, b"\0" + b"\1" * 64, 28_000)),
    "jpeg of 200 MB of restarts": (
        "image_too_large",
        lambda: encode(GREY, "JPEG")[:-2] + b"\xff\xd0" * 100_000_000 + b"\xff\xd9",
    ),
    "progressive jpeg of 49 million pixels in 60 scans": ("image_format", lambda: _again(7000, 50)),
    "tiff of 30 tags of the same 40 MB": (
        (8, 8),
        lambda: make.tiff(
            body=bytes(64) + b"a" * 40_000_000, **{f"t{tag}": (tag, 2, 40_000_000, 576) for tag in range(65000, 65030)}
        ),
    ),
    "tiff of 300 MB beside its pixels": ((8, 8), lambda: make.tiff(body=bytes(300_000_000), t270=7)),
    "webp of 190 MB of XMP": ((24, 24, 3), lambda: _webp_beside(b"XMP ", 190_000_000)),
    "webp of a profile of 190 MB": ((24, 24, 3), lambda: _webp_beside(b"ICCP", 190_000_000)),
    "progressive jpeg of 49 million colours": (
        (7000, 7000, 3),
        lambda: _black("RGB", 7000, progressive=True, subsampling=0),
    ),
    "jpeg of 1.1 million empty segments": ("image_damaged", lambda: b"\xff\xd8" + b"\xff\xfe\0\2" * 1_100_000),
    "jpeg of 20 MB of fill": ("image_damaged", lambda: b"\xff\xd8" + b"\xff" * 20_000_000),
    "jpeg with 4,000 long orientations": (
        (24, 24),
        lambda: make.with_segment(encode(np.zeros_like(GREY), "JPEG"), 0xE1, _many_orientations(4000)),
    ),
    "tiff of 100 million rows": ("image_too_large", lambda: make.tiff(t256=1, t257=100_000_000, t278=1)),
    "tiff of 60 million strips": ("image_damaged", lambda: make.tiff(t256=1, t257=60_000_000, t278=1)),
    "tiff of a gigapixel that is there": (
        "image_too_large",
        lambda: _deflate_tiff(40_000, 25_000),
    ),
    "tiff of 49 million deep pixels in a strip": ((7000, 7000), lambda: _deflate_tiff(7000, 7000, 16)),
    "tiff of 64 million deep pixels in a strip": ("image_too_large", lambda: _deflate_tiff(8000, 8000, 16)),
    "tiff that inflates to more than its rows": ("image_damaged", lambda: _deflate_tiff(8, 8, more=500_000_000)),
    "tiff with three tags of all its bytes": (
        "image_damaged",
        lambda: make.tiff(body=bytes(8_000_000), **{f"t{tag}": (tag, 1, 8_000_000, 512) for tag in (258, 273, 279)}),
    ),
    "tiff of 20,000 directories six bytes apart": ("image_format", lambda: make.overlapping_directories(20_000)),
    "tiff of 30,000 strips in the same 3 MB": ("image_damaged", lambda: make.overlapping_strips(30_000, 3_000_000)),
    "webp of 64 million pixels": ((8000, 8000, 3), lambda: _webp(8000)),
    "webp of 268 million pixels": (
        "image_too_large",
        lambda: make.riff((b"VP8L", b"\x2f" + struct.pack("<I", (1 << 28) - 1))),
    ),
    "webp of 1.1 million empty chunks": ("image_damaged", lambda: _many_riff_chunks(1_100_000)),
}  # fmt: skip

# The largest uncompressed ones: the head, and the length of the file, the rest of which is zeros.
_SIDE = 5450
_STRIP = {"t258": (258, 3, 3, 400), "t279": 3 * _SIDE**2, "t262": 2, "t277": 3}
RAW: dict[str, tuple[Outcome, Callable[[], bytes], int]] = {
    "ppm of 49 million colours": ((7000, 7000, 3), lambda: b"P6 7000 7000 255\n", 17 + 3 * 7000**2),
    "ppm of 64 million colours": ("image_too_large", lambda: b"P6 8000 8000 255\n", 17 + 3 * 8000**2),
    "tiff of 29 million colours in a strip": (
        (_SIDE, _SIDE, 3),
        lambda: _put(make.tiff(t256=_SIDE, t257=_SIDE, t278=_SIDE, **_STRIP), 400, struct.pack("<3H", 8, 8, 8)),
        512 + 3 * _SIDE**2,
    ),
    "400 MB of nothing": ("image_too_large", lambda: b"", 400_000_000),
    "384 MB of nothing": ("image_format", lambda: b"", 384_000_000),
}


def _put(data: bytes, at: int, part: bytes) -> bytes:
    return data[:at] + part + data[at + len(part) :]


def _png_beside(kind: bytes, payload: bytes) -> bytes:
    return make.png(8, 8, extra=make.chunk(kind, payload + make.zeros(500_000_000)))


def _texts(kind: bytes, head: bytes) -> bytes:
    return make.png(8, 8, extra=make.chunk(kind, head + make.zeros(7_900_000)) * 900)


def _segments(marker: int, payload: bytes, count: int) -> bytes:
    plain = encode(np.zeros_like(GREY), "JPEG")
    one = make.with_segment(b"\xff\xd8", marker, payload)[2:]
    return plain[:2] + one * count + plain[2:]


def _again(side: int, count: int) -> bytes:
    """A progressive JPEG whose last scan is repeated."""
    data = _black("RGB", side, progressive=True)
    return data[:-2] + data[make.segments(data)[-2] : -2] * count + b"\xff\xd9"


def _webp_beside(kind: bytes, length: int) -> bytes:
    still = encode(np.zeros((24, 24, 3), np.uint8), "WEBP", lossless=True)[12:]
    (size,) = struct.unpack_from("<I", still, 4)
    extended = b"\x24\0\0\0" + struct.pack("<I", 23)[:3] * 2
    return make.riff((b"VP8X", extended), (kind, bytes(length)), (b"VP8L", still[8 : 8 + size]))


def _kinds(count: int) -> bytes:
    return b"".join(make.chunk(struct.pack(">I", 0x62616161 + kind)) for kind in range(count))


def _many_orientations(count: int) -> bytes:
    block = b"Exif\0\0II*\0\x08\0\0\0" + make.directory([(274, 1, 60_000, 8)] * count)
    return block.ljust(65_500, b"\0")


def _black(mode: str, side: int, kind: str = "JPEG", **options: object) -> bytes:
    buffer = io.BytesIO()
    Image.new(mode, (side, side)).save(buffer, kind, **options)
    return buffer.getvalue()


def _webp(side: int) -> bytes:
    return _black("RGB", side, "WEBP", lossless=True, method=0)


def _deflate_tiff(width: int, height: int, bits: int = 8, more: int = 0) -> bytes:
    stream = make.zeros(width * height * bits // 8 + more)
    return make.tiff(body=stream, t256=width, t257=height, t258=bits, t259=8, t278=height, t279=len(stream))


def _many_riff_chunks(count: int) -> bytes:
    body = b"spAm\0\0\0\0" * count
    return b"RIFF" + struct.pack("<I", len(body) + 4) + b"WEBP" + body


@pytest.fixture(scope="module")
def claimed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    folder, paths = tmp_path_factory.mktemp("claims"), []
    for number, (_, built, *length) in enumerate([*CLAIMS.values(), *RAW.values()]):
        paths.append(folder / f"{number}.png")
        paths[-1].write_bytes(built())
        if length:
            os.truncate(paths[-1], length[0])
    found = read_apart([str(path) for path in paths])
    for path in paths:
        path.unlink()
    return dict(zip([*CLAIMS, *RAW], found, strict=False))


@pytest.mark.parametrize("case", [*CLAIMS, *RAW])
def test_a_claim_is_answered_soon_and_within_512_mib(case: str, claimed: dict[str, dict[str, Any]]) -> None:
    assert case in claimed, f"the process hung or died; the last case that it answered: {list(claimed)[-1:]}"
    found, expected = claimed[case], (CLAIMS | RAW)[case][0]
    if isinstance(expected, str):
        assert found.get("code") == expected
    else:
        assert (tuple(found.get("shape", ())), found.get("ends")) == (expected, [0, 0])
    assert found["peak_mib"] <= PEAK_MIB
    assert found["seconds"] <= SECONDS
    assert soon(found), found
