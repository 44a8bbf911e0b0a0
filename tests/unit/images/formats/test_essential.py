"""Decoders are given what carries pixels, and that changes no pixel: OpenCV and Pillow read the whole file alike."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable

import cv2
import numpy as np
import pytest
from PIL import Image

from edge_runtime.images import reader
from edge_runtime.images.formats import decoding, png
from tests.unit.images import hostile_files as make
from tests.unit.images.hostile_files import DEEP, GREY, RGB, chunk, encode

_RNG = np.random.default_rng(29)
_PNG, _JPEG, _WEBP = encode(RGB, "PNG"), encode(RGB, "JPEG"), encode(RGB, "WEBP")
_MARK = b"not a pixel"
_EXIF = b"Exif\0\0II*\0\x08\0\0\0" + make.directory([(274, 3, 1, 1)]) + _MARK


def _png(*parts: tuple[bytes, bytes]) -> bytes:
    return _PNG[:33] + b"".join(chunk(kind, payload) for kind, payload in parts) + _PNG[33:]


def _jpeg(*parts: tuple[int, bytes]) -> bytes:
    """Each segment twice: before the tables and after the scan."""
    made = b"".join(struct.pack(">BBH", 0xFF, marker, len(payload) + 2) + payload for marker, payload in parts)
    return _JPEG[:2] + made + _JPEG[2:-2] + made + _JPEG[-2:]


def _webp(*parts: tuple[bytes, bytes]) -> bytes:
    (length,) = struct.unpack_from("<I", _WEBP, 16)
    return make.riff((b"VP8X", b"\x2c" + bytes(3) + b"\x17\0\0" * 2), (b"VP8 ", _WEBP[20 : 20 + length]), *parts)


WITH_METADATA: dict[str, Callable[[], bytes]] = {
    "png gamma": lambda: _png((b"gAMA", struct.pack(">I", 22222)), (b"tEXt", b"k\0" + _MARK)),
    "png primaries": lambda: _png((b"cHRM", struct.pack(">8I", *range(10_000, 90_000, 10_000))), (b"tIME", _MARK[:7])),
    "png sRGB": lambda: _png((b"sRGB", b"\1"), (b"tEXt", b"k\0" + _MARK)),
    "png cICP": lambda: _png((b"cICP", b"\x09\x10\0\1"), (b"tEXt", b"k\0" + _MARK)),
    "png significant bits": lambda: _png((b"sBIT", b"\5\6\5"), (b"tEXt", b"k\0" + _MARK)),
    "png background": lambda: _png((b"bKGD", bytes(6)), (b"tEXt", b"k\0" + _MARK)),
    "png suggested palette": lambda: _png((b"PLTE", bytes(range(6))), (b"tEXt", b"k\0" + _MARK)),
    "png profile": lambda: encode(RGB, "PNG", icc_profile=b"profile" * 50),
    "png EXIF": lambda: _png((b"eXIf", _EXIF[6:])),
    "png unknown": lambda: _png((b"spAm", _MARK)),
    "jpeg comment": lambda: _jpeg((0xFE, _MARK)),
    "jpeg profile": lambda: _jpeg((0xE2, b"ICC_PROFILE\0\1\1" + _MARK)),
    "jpeg EXIF": lambda: _jpeg((0xE1, _EXIF)),
    "jpeg Photoshop": lambda: _jpeg((0xED, b"Photoshop 3.0\0" + _MARK)),
    "jpeg Adobe": lambda: _jpeg((0xFE, _MARK), (0xEE, b"Adobe\0\x64\0\0\0\0\1")),
    "jpeg RGB by Adobe": lambda: encode(RGB, "JPEG", keep_rgb=True, comment=_MARK),
    "jpeg with bytes after its end": lambda: _JPEG + _MARK,
    "jpeg progressive": lambda: encode(RGB, "JPEG", progressive=True, comment=_MARK),
    "webp EXIF, XMP": lambda: _webp((b"EXIF", _EXIF), (b"XMP ", _MARK)),
    "webp profile": lambda: encode(RGB, "WEBP", lossless=True, icc_profile=_MARK),
}


@pytest.mark.parametrize("case", WITH_METADATA)
def test_metadata_reaches_no_decoder_and_changes_no_pixel(case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    data, given, decode = WITH_METADATA[case](), [], cv2.imdecode
    expected = decode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)

    def listening(stream: np.ndarray, flags: int) -> np.ndarray:
        given.append(stream.tobytes())
        return decode(stream, flags)

    monkeypatch.setattr(decoding.cv2, "imdecode", listening)
    found = reader.read(data).pixels
    np.testing.assert_array_equal(found, expected)
    with Image.open(io.BytesIO(data)) as image:
        np.testing.assert_array_equal(found[..., ::-1], np.asarray(image.convert("RGB")))
    assert len(given) == 1
    assert not any(part in given[0] for part in (_MARK, b"gAMA", b"iCCP", b"EXIF", b"XMP ", b"Exif"))


@pytest.mark.parametrize(
    "data", [_PNG, _JPEG, encode(RGB, "BMP"), encode(RGB, "PPM")], ids=["png", "jpeg", "bmp", "ppm"]
)
def test_a_file_of_pixels_alone_is_decoded_without_a_copy(data: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    given, decode = [], cv2.imdecode
    monkeypatch.setattr(decoding.cv2, "imdecode", lambda stream, flags: given.append(stream) or decode(stream, flags))
    reader.read(data)
    assert np.shares_memory(given[0], np.frombuffer(data, np.uint8))


_DTYPES = {"8 bit": np.uint8, "16 bit": np.uint16}


@pytest.mark.parametrize("depth", _DTYPES)
@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("row_filter", [8, 16, 32, 64, 128, 248])
@pytest.mark.parametrize("shape", [(1, 1), (1, 7), (9, 1), (700, 401)])
def test_png_rows_decoded_in_bands_are_those_of_the_encoder(
    depth: str, channels: int, row_filter: int, shape: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(png, "_AT_ONCE_IN", 0)
    dtype = _DTYPES[depth]
    pixels = _RNG.integers(0, 40, (*shape, channels), dtype=dtype).cumsum(axis=1, dtype=dtype)
    if channels == 4:
        pixels[..., 3] = np.iinfo(dtype).max
    data = cv2.imencode(".png", pixels, [cv2.IMWRITE_PNG_FILTER, row_filter])[1].tobytes()
    found = reader.read(data).pixels
    assert found.dtype == dtype
    np.testing.assert_array_equal(found, pixels[..., 0] if channels == 1 else pixels[..., :3])


@pytest.mark.parametrize("pixels", [RGB, GREY, DEEP, RGB[:2, :3], RGB[:1, :1]])
def test_interlaced_png_in_bands_is_the_image(pixels: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(png, "_AT_ONCE_IN", 0)
    found = reader.read(make.interlaced_png(pixels)).pixels
    np.testing.assert_array_equal(found if pixels.ndim == 2 else found[..., ::-1], pixels)


def test_a_png_in_bands_whose_last_bytes_are_wrong_is_damaged(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(png, "_AT_ONCE_IN", 0)
    rows = b"".join(b"\0" + row.tobytes() for row in GREY)
    for stream in (_stream(rows, 1), _stream(rows[:-1]), _stream(rows)[:-1], _stream(rows + bytes(1 << 21))):
        with pytest.raises(reader.ImageUnreadableError) as caught:
            reader.read(make.png(24, 24, stream=stream))
        assert caught.value.code == "image_damaged"
    np.testing.assert_array_equal(reader.read(make.png(24, 24, stream=_stream(rows))).pixels, GREY)


def _stream(rows: bytes, off: int = 0) -> bytes:
    """A zlib stream of stored rows, its checksum wrong by ``off``."""
    made = zlib.compress(rows, 0)
    return made[:-1] + bytes([made[-1] ^ off])
