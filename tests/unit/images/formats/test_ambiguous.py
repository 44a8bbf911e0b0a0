"""Files that well-kept readers show differently are refused by name.

Beside these, the following were decoded by OpenCV and Pillow, which agree or both refuse them: JPEG without JFIF, with
each Adobe transform, with component numbers 0 1 2, 1 34 35 and 5 6 7, Adobe after the frame header, grey with
sampling 2x2; PNG with PLTE in RGB, after IDAT or of 300 entries, two whole streams in IDAT, gAMA, sBIT, bKGD, rows
after the last, IEND with bytes; TIFF with tags 254, 280, 281, 284, 290, 291, 318, 320, 322, 330, 346, 532, 32997;
PGM with CR, TAB or VT between numbers; BMP with colours counted, another offset or length; WebP with bytes after its
stream, with VP8X after its image, with flags of chunks that are not there.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable

import pytest

from edge_runtime.errors import ImageError
from edge_runtime.images import reader
from tests.unit.images import hostile_files as make
from tests.unit.images.hostile_files import PNG_SIGNATURE, RGB, chunk, encode, riff

JFIF = encode(RGB, "JPEG", subsampling=0)
BARE = JFIF[:2] + JFIF[20:]
HEAD = encode(RGB, "PNG")[8:33]
STREAM = zlib.compress(b"".join(b"\0" + row.tobytes() for row in RGB))
EXTENDED = struct.pack("<I", 23)[:3] * 2


def adobe(transform: int) -> bytes:
    """The payload of an APP14 segment (T.872, 6.5.3)."""
    return b"Adobe\0\x64\0\0\0\0" + bytes([transform])


def numbered(data: bytes, numbers: bytes) -> bytes:
    """A baseline JPEG whose three components have these numbers."""
    found = bytearray(data)
    frame, scan = found.index(b"\xff\xc0"), found.index(b"\xff\xda")
    found[frame + 10 : frame + 19 : 3] = found[scan + 5 : scan + 11 : 2] = numbers
    return bytes(found)


def png(*chunks: bytes) -> bytes:
    """24x24 RGB."""
    return PNG_SIGNATURE + HEAD + b"".join(chunks) + chunk(b"IEND")


def stream(kind: str, turned: bool = False, **options: object) -> bytes:
    """The image chunk of a WebP."""
    data = encode(RGB[::-1] if turned else RGB, "WEBP", lossless=kind == "VP8L", **options)
    return data[20 : 20 + struct.unpack_from("<I", data, 16)[0]]


def extended(flags: int) -> tuple[bytes, bytes]:
    """A VP8X chunk of 24x24."""
    return b"VP8X", bytes([flags, 0, 0, 0]) + EXTENDED


IDAT, OPAQUE, CLEAR = chunk(b"IDAT", STREAM), (b"ALPH", b"\0" + b"\xff" * 576), (b"ALPH", bytes(577))

REFUSED: dict[str, tuple[str, Callable[[], bytes]]] = {
    "tiff: predictor 2, uncompressed": ("image_format", lambda: make.tiff(t317=2)),
    "tiff: predictor 3, uncompressed": ("image_format", lambda: make.tiff(t317=3)),
    "webp: VP8L twice": (
        "image_format",
        lambda: riff(extended(0), (b"VP8L", stream("VP8L")), (b"VP8L", stream("VP8L", True))),
    ),
    "webp: VP8L twice, simple": (
        "image_format",
        lambda: riff((b"VP8L", stream("VP8L")), (b"VP8L", stream("VP8L", True))),
    ),
    "webp: VP8 twice": ("image_format", lambda: riff((b"VP8 ", stream("VP8 ")), (b"VP8 ", stream("VP8 ", True)))),
    "webp: VP8 and VP8L": ("image_format", lambda: riff((b"VP8 ", stream("VP8 ")), (b"VP8L", stream("VP8L", True)))),
    "webp: VP8L and VP8": ("image_format", lambda: riff((b"VP8L", stream("VP8L")), (b"VP8 ", stream("VP8 ", True)))),
    "webp: ALPH twice": ("image_format", lambda: riff(extended(16), OPAQUE, CLEAR, (b"VP8 ", stream("VP8 ")))),
    "webp: ALPH after VP8": ("image_format", lambda: riff(extended(16), (b"VP8 ", stream("VP8 ")), OPAQUE)),
    "webp: ALPH and VP8L": ("image_alpha", lambda: riff(extended(16), OPAQUE, (b"VP8L", stream("VP8L")))),
    "webp: ALPH without its flag": ("image_alpha", lambda: riff(extended(0), CLEAR, (b"VP8 ", stream("VP8 ")))),
    "webp: VP8X twice": ("image_format", lambda: riff(extended(0), extended(16), (b"VP8L", stream("VP8L")))),
    "png: PLTE twice": ("image_damaged", lambda: png(chunk(b"PLTE", bytes(9)), chunk(b"PLTE", bytes(3)), IDAT)),
    "png: text between IDAT": (
        "image_damaged",
        lambda: png(chunk(b"IDAT", STREAM[:99]), chunk(b"tEXt", b"a\0b"), chunk(b"IDAT", STREAM[99:])),
    ),
    "png: unknown critical chunk": ("image_format", lambda: png(chunk(b"ABCD"), IDAT)),
    "png: frame control alone": ("image_frames", lambda: png(chunk(b"fcTL", bytes(26)), IDAT)),
    "png: frame data alone": ("image_frames", lambda: png(IDAT, chunk(b"fdAT", bytes(4) + STREAM))),
    "jpeg: JFIF and Adobe RGB": ("image_format", lambda: make.with_segment(JFIF, 0xEE, adobe(0))),
    "jpeg: JFIF and components R, G, B": ("image_format", lambda: numbered(JFIF, b"RGB")),
    "jpeg: Adobe YCbCr and components R, G, B": (
        "image_format",
        lambda: numbered(make.with_segment(BARE, 0xEE, adobe(1)), b"RGB"),
    ),
    "jpeg: Adobe twice, RGB and YCbCr": (
        "image_format",
        lambda: make.with_segment(make.with_segment(BARE, 0xEE, adobe(1)), 0xEE, adobe(0)),
    ),
    "jpeg: two frame headers": ("image_damaged", lambda: _two_frames()),
    "pnm: maximum 254": ("image_depth", lambda: b"P5 8 8 254\n" + bytes(64)),
}


def _two_frames() -> bytes:
    at = BARE.index(b"\xff\xc0")
    return BARE[: at + 19] + BARE[at:]


@pytest.mark.parametrize("case", REFUSED)
def test_what_readers_show_differently_is_refused(case: str) -> None:
    code, build = REFUSED[case]
    with pytest.raises(ImageError) as caught:
        reader.read(build())
    assert caught.value.code == code, caught.value.message
