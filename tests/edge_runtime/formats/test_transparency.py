"""An alpha channel that is opaque everywhere is dropped; one pixel that is not makes a refusal."""

from __future__ import annotations

import io
import struct
from collections.abc import Callable

import cv2
import numpy as np
import pytest
from PIL import Image

from edge_runtime import imaging
from edge_runtime.errors import ImageUnsupportedError
from edge_runtime.formats import png
from tests.edge_runtime import hostile_files as make
from tests.edge_runtime.hostile_files import DEEP, GREY, RGB, chunk, encode

OPAQUE = np.full(GREY.shape, 255, np.uint8)
NEARLY = OPAQUE.copy()
NEARLY[-1, -1] = 254


def _rgba(alpha: np.ndarray) -> np.ndarray:
    return np.dstack([RGB, alpha])


def _grey_alpha(alpha: np.ndarray) -> np.ndarray:
    return np.dstack([GREY, alpha])


def _deep(alpha: np.ndarray) -> bytes:
    deep = np.where(alpha == 255, 65535, 65534).astype(np.uint16)
    return cv2.imencode(".png", np.dstack([DEEP, DEEP.T, DEEP[::-1], deep]))[1].tobytes()


def _webp_with_alpha_chunk(alpha: np.ndarray) -> bytes:
    (length,) = struct.unpack_from("<I", encode(RGB, "WEBP"), 16)
    image = encode(RGB, "WEBP")[20 : 20 + length]
    return make.riff(
        (b"VP8X", b"\x10" + bytes(3) + b"\x17\0\0" * 2), (b"ALPH", b"\0" + alpha.tobytes()), (b"VP8 ", image)
    )


def _webp_lossless(alpha: np.ndarray) -> bytes:
    """Encoders leave an opaque channel out, so the bit that says that there is one is set by hand."""
    data = bytearray(encode(RGB if alpha is OPAQUE else _rgba(alpha), "WEBP", lossless=True, exact=True))
    data[data.index(b"VP8L") + 12] |= 0x10
    return bytes(data)


def _tiff(extra: int | None, *, samples: int = 4) -> Callable[[np.ndarray], bytes]:
    def made(alpha: np.ndarray) -> bytes:
        body = (_rgba(alpha) if samples == 4 else _grey_alpha(alpha)).tobytes()
        tags = {"t256": 24, "t257": 24, "t278": 24, "t262": 2 if samples == 4 else 1, "t277": samples}
        return make.tiff(body=body, **tags, t279=len(body), **({} if extra is None else {"t338": extra}))

    return made


def _bmp(fourth: np.ndarray, *, info: int = 40, alpha_mask: int = 0) -> bytes:
    rows = np.dstack([RGB[..., ::-1], fourth])[::-1].tobytes()
    masks = struct.pack("<IIII", 0xFF0000, 0xFF00, 0xFF, alpha_mask) if info > 40 else b""
    head = struct.pack("<IiiHHIIiiII", info, 24, 24, 1, 32, 3 if masks else 0, 0, 0, 0, 0, 0) + masks
    head = head.ljust(info, b"\0")
    return b"BM" + struct.pack("<IHHI", 14 + len(head) + len(rows), 0, 0, 14 + len(head)) + head + rows


WITH_ALPHA: dict[str, Callable[[np.ndarray], bytes]] = {
    "png colour": lambda alpha: encode(_rgba(alpha), "PNG"),
    "png grey": lambda alpha: encode(_grey_alpha(alpha), "PNG"),
    "png 16 bit": _deep,
    "webp with an alpha chunk": _webp_with_alpha_chunk,
    "webp lossless": _webp_lossless,
    "tiff, extra sample unspecified": _tiff(0),
    "tiff, associated": _tiff(1),
    "tiff, unassociated": _tiff(2),
    "tiff, not named": _tiff(None),
    "tiff grey": _tiff(2, samples=2),
    "tiff deflate": lambda alpha: encode(_rgba(alpha), "TIFF", compression="tiff_adobe_deflate"),
    "bmp": _bmp,
    "bmp with masks": lambda alpha: _bmp(alpha, info=56),
    "bmp with a mask of alpha": lambda alpha: _bmp(alpha, info=108, alpha_mask=0xFF000000),
}


@pytest.mark.parametrize("in_bands", [False, True])
@pytest.mark.parametrize("case", WITH_ALPHA)
def test_opaque_alpha_is_dropped_and_the_values_are_those_of_pillow(
    case: str, in_bands: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if in_bands:
        monkeypatch.setattr(png, "_AT_ONCE_IN", 0)
    data = WITH_ALPHA[case](OPAQUE)
    found = imaging.read(data).pixels
    if "16 bit" in case:
        np.testing.assert_array_equal(found, np.dstack([DEEP, DEEP.T, DEEP[::-1]]))
        return
    with Image.open(io.BytesIO(data)) as image:
        expected = np.asarray(image.convert("L" if "grey" in case else "RGB"))
    np.testing.assert_array_equal(found if "grey" in case else found[..., ::-1], expected)


@pytest.mark.parametrize("in_bands", [False, True])
@pytest.mark.parametrize("case", WITH_ALPHA)
def test_one_pixel_that_is_not_opaque_is_transparency(
    case: str, in_bands: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if in_bands:
        monkeypatch.setattr(png, "_AT_ONCE_IN", 0)
    with pytest.raises(ImageUnsupportedError, match="flatten it") as caught:
        imaging.read(WITH_ALPHA[case](NEARLY))
    assert caught.value.code == "image_alpha"


@pytest.mark.parametrize("info, taken", [(40, True), (56, True), (108, False)])
def test_a_fourth_byte_of_zeros_is_padding_unless_the_bmp_calls_it_alpha(info: int, taken: bool) -> None:
    data = _bmp(np.zeros_like(GREY), info=info, alpha_mask=0xFF000000 if info == 108 else 0)
    if taken:
        np.testing.assert_array_equal(imaging.read(data).pixels[..., ::-1], RGB)
        return
    with pytest.raises(ImageUnsupportedError) as caught:
        imaging.read(data)
    assert caught.value.code == "image_alpha"


_ABSENT = next(value for value in range(256) if value not in GREY)


@pytest.mark.parametrize(
    "pixels, value, transparent",
    [
        (GREY, (_ABSENT,), False),
        (GREY, (int(GREY[-1, -1]),), True),
        (RGB, (int(RGB[0, 0, 0]), int(RGB[0, 0, 1]), int(RGB[0, 0, 2]) ^ 1), False),
        (RGB, tuple(int(part) for part in RGB[-1, -1]), True),
        (DEEP, (int(DEEP[3, 4]),), True),
    ],
)
def test_a_transparent_value_counts_where_a_pixel_has_it(
    pixels: np.ndarray, value: tuple[int, ...], transparent: bool
) -> None:
    data = encode(pixels, "PNG")
    data = data[:33] + chunk(b"tRNS", struct.pack(f">{len(value)}H", *value)) + data[33:]
    if transparent:
        with pytest.raises(ImageUnsupportedError) as caught:
            imaging.read(data)
        assert caught.value.code == "image_alpha"
        return
    found = imaging.read(data).pixels
    np.testing.assert_array_equal(found if found.ndim == 2 else found[..., ::-1], pixels)
