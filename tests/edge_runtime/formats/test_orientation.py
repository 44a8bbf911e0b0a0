"""Only an orientation from 2 to 8 that can be read refuses an image; no other metadata costs one."""

from __future__ import annotations

import struct
from collections.abc import Callable

import numpy as np
import pytest

from edge_runtime import imaging
from edge_runtime.errors import ImageError
from tests.edge_runtime import hostile_files as make
from tests.edge_runtime.hostile_files import RGB, chunk, encode

_PNG, _JPEG, _WEBP = encode(RGB, "PNG"), encode(RGB, "JPEG"), encode(RGB, "WEBP", lossless=True)
_HEAD = b"II*\0\x08\0\0\0"


def _block(kind: int, count: int, value: int) -> bytes:
    return _HEAD + make.directory([(271, 2, 4, 0), (274, kind, count, value), (305, 2, 4, 0)])


SAYS_NOTHING: dict[str, bytes] = {
    "empty": b"",
    "head alone": b"II*\0",
    "no next offset": _block(3, 1, 1)[:-4],
    "offset 0": b"II*\0\0\0\0\0" + _block(3, 1, 6)[8:],
    "offset beyond the end": b"II*\0\xff\xff\0\0",
    "byte order of neither kind": b"XX*\0" + _block(3, 1, 6)[4:],
    "SLONG": _block(9, 1, 1),
    "ASCII": _block(2, 2, 0x36),
    "fraction": _block(5, 1, 8),
    "no value": _block(3, 0, 6),
    "value beyond the end": _block(3, 9, 1 << 20),
    "0": _block(3, 1, 0),
    "9": _block(3, 1, 9),
    "262": _block(3, 1, 262),
    "-6": _block(9, 1, 0xFFFFFFFA),
    "twice 1": _HEAD + make.directory([(274, 3, 1, 1)] * 2),
    "more entries than there are": _HEAD + b"\xff\xff" + _block(3, 1, 1)[10:],
    "cut in its entry": _block(3, 1, 6)[:-20],
    "noise": bytes(range(255, 0, -1)),
}
ROTATES: dict[str, bytes] = {
    "6": _block(3, 1, 6),
    "big-endian 8": b"MM\0*\0\0\0\x08\0\1" + struct.pack(">HHIHH", 274, 3, 1, 8, 0) + bytes(4),
    "without next offset": _block(3, 1, 2)[:-4],
    "LONG": _block(4, 1, 3),
    "SLONG": _block(9, 1, 6),
    "1 and 6": _HEAD + make.directory([(274, 3, 1, 1), (274, 3, 1, 6)]),
    "6 and 1": _HEAD + make.directory([(274, 3, 1, 6), (274, 3, 1, 1)]),
    "two values": _block(3, 2, 6),
    "more entries than there are": _HEAD + b"\xff\xff" + _block(3, 1, 6)[10:],
}


def _riff(block: bytes) -> bytes:
    (length,) = struct.unpack_from("<I", _WEBP, 16)
    size = b"\x17\0\0" * 2
    return make.riff((b"VP8X", b"\x08" + bytes(3) + size), (b"VP8L", _WEBP[20 : 20 + length]), (b"EXIF", block))


CARRIERS: dict[str, Callable[[bytes], bytes]] = {
    "jpeg": lambda block: make.with_segment(_JPEG, 0xE1, b"Exif\0\0" + block),
    "jpeg, other padding": lambda block: make.with_segment(_JPEG, 0xE1, b"Exif\0\xff" + block),
    "png": lambda block: _PNG[:33] + chunk(b"eXIf", block) + _PNG[33:],
    "png, behind the pixels": lambda block: _PNG[:-12] + chunk(b"eXIf", block) + _PNG[-12:],
    "png, wrong CRC": lambda block: _PNG[:33] + chunk(b"eXIf", block)[:-4] + b"????" + _PNG[33:],
    "webp": _riff,
    "webp, with a prefix": lambda block: _riff(b"Exif\0\0" + block),
}
PLAIN = {"jpeg": _JPEG, "png": _PNG, "webp": _WEBP}


@pytest.mark.parametrize("carrier", CARRIERS)
@pytest.mark.parametrize("case", SAYS_NOTHING)
def test_an_orientation_that_cannot_be_read_is_as_stored(case: str, carrier: str) -> None:
    expected = imaging.read(PLAIN[carrier.split(",", maxsplit=1)[0]]).pixels
    np.testing.assert_array_equal(imaging.read(CARRIERS[carrier](SAYS_NOTHING[case])).pixels, expected)


@pytest.mark.parametrize("carrier", CARRIERS)
@pytest.mark.parametrize("case", ROTATES)
def test_an_orientation_that_any_reader_may_obey_is_refused(case: str, carrier: str) -> None:
    with pytest.raises(ImageError, match="apply the rotation") as caught:
        imaging.read(CARRIERS[carrier](ROTATES[case]))
    assert caught.value.code == "image_orientation"


@pytest.mark.parametrize("entry", [0, 1, 9, (274, 2, 2, 0x36), (274, 5, 1, 8), (274, 3, 0, 6), (274, 3, 9, 1 << 30)])
def test_a_tiff_orientation_that_cannot_be_read_is_as_stored(entry: int | tuple[int, int, int, int]) -> None:
    assert imaging.read(make.tiff(t274=entry)).pixels.shape == (8, 8)


@pytest.mark.parametrize("entry", [2, 8, (274, 3, 1, 6), (274, 9, 1, 3)])
def test_a_tiff_orientation_is_refused(entry: int | tuple[int, int, int, int]) -> None:
    with pytest.raises(ImageError) as caught:
        imaging.read(make.tiff(t274=entry))
    assert caught.value.code == "image_orientation"


@pytest.mark.parametrize("kind", [b"tEXt", b"zTXt", b"iTXt", b"iCCP", b"gAMA", b"pHYs", b"spAm"])
def test_a_wrong_crc_in_metadata_costs_no_image(kind: bytes) -> None:
    data = _PNG[:33] + chunk(kind, b"k\0damaged")[:-1] + b"?" + _PNG[33:]
    np.testing.assert_array_equal(imaging.read(data).pixels[..., ::-1], RGB)


@pytest.mark.parametrize("kind", [b"tRNS", b"eXIf", b"acTL", b"IDAT"])
@pytest.mark.parametrize("bit", range(32))
def test_a_flipped_bit_never_hides_a_chunk_that_is_read(kind: bytes, bit: int) -> None:
    whole = chunk(kind, {b"tRNS": bytes(6), b"eXIf": ROTATES["6"]}.get(kind, bytes(8)))
    name = (int.from_bytes(kind, "big") ^ 1 << bit).to_bytes(4, "big")
    with pytest.raises(ImageError):
        imaging.read(_PNG[:33] + whole[:4] + name + whole[8:] + _PNG[33:])


def test_a_chunk_that_swallows_one_that_is_read_is_damage() -> None:
    swallowed = chunk(b"eXIf", ROTATES["6"])
    text = chunk(b"tEXt", b"k\0word")
    data = _PNG[:33] + struct.pack(">I", 6 + len(swallowed)) + text[4:] + swallowed + _PNG[33:]
    with pytest.raises(ImageError, match="CRC") as caught:
        imaging.read(data)
    assert caught.value.code == "image_damaged"
