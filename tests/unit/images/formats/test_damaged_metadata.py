"""A wrong CRC in a PNG's metadata costs no image, and hides nothing that is read."""

from __future__ import annotations

import struct

import numpy as np
import pytest

from edge_runtime.errors import ImageError
from edge_runtime.images import reader
from tests.unit.images import hostile_files as make
from tests.unit.images.hostile_files import RGB, chunk, encode

_PNG = encode(RGB, "PNG")
_TURNED = b"II*\0\x08\0\0\0" + make.directory([(274, 3, 1, 6)])


@pytest.mark.parametrize("kind", [b"tEXt", b"zTXt", b"iTXt", b"iCCP", b"gAMA", b"pHYs", b"eXIf", b"spAm"])
def test_a_wrong_crc_in_metadata_costs_no_image(kind: bytes) -> None:
    data = _PNG[:33] + chunk(kind, b"k\0damaged")[:-1] + b"?" + _PNG[33:]
    np.testing.assert_array_equal(reader.read(data).pixels[..., ::-1], RGB)


def test_a_rotation_that_can_be_read_is_refused_whatever_its_crc() -> None:
    with pytest.raises(ImageError) as caught:
        reader.read(_PNG[:33] + chunk(b"eXIf", _TURNED)[:-1] + b"?" + _PNG[33:])
    assert caught.value.code == "image_orientation"


@pytest.mark.parametrize("kind", [b"tRNS", b"eXIf", b"acTL", b"IDAT", b"PLTE"])
@pytest.mark.parametrize("bit", range(32))
def test_a_flipped_bit_never_hides_a_chunk_that_is_read(kind: bytes, bit: int) -> None:
    whole = chunk(kind, {b"tRNS": bytes(6), b"eXIf": _TURNED}.get(kind, bytes(9)))
    name = (int.from_bytes(kind, "big") ^ 1 << bit).to_bytes(4, "big")
    with pytest.raises(ImageError):
        reader.read(_PNG[:33] + whole[:4] + name + whole[8:] + _PNG[33:])


def test_a_chunk_that_swallows_one_that_is_read_is_damage() -> None:
    swallowed, text = chunk(b"eXIf", _TURNED), chunk(b"tEXt", b"k\0word")
    data = _PNG[:33] + struct.pack(">I", 6 + len(swallowed)) + text[4:] + swallowed + _PNG[33:]
    with pytest.raises(ImageError, match="CRC") as caught:
        reader.read(data)
    assert caught.value.code == "image_damaged"
