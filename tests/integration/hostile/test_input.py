"""Odd files give the very tensor that Pillow and arithmetic give; hostile ones are refused by name."""

from __future__ import annotations

import io
import re
import struct
import zlib
from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image

from edge_runtime.errors import ImageError
from edge_runtime.images import reader
from edge_runtime.images.colour import ColourOrder
from edge_runtime.preprocessing.preprocessor import preprocess
from edge_runtime.preprocessing.steps import Colour, Interpolation, PixelType, Resize, Scale, Step, Window
from tests.places import ROOT
from tests.unit.images import hostile_files as make
from tests.unit.images.hostile_files import DEEP, GREY, RGB, encode

KNOWN = set(re.findall(r"`((?:image|folder)_\w+)`", (ROOT / "docs/reference/images.md").read_text(encoding="utf-8")))
STEPS: tuple[Step, ...] = (
    Colour(ColourOrder.RGB),
    Resize(10, 14, Interpolation.NEAREST, PixelType.UINT8),
    Scale(255.0, 0.0),
)
WINDOW = Window(1000, 52_000)
ROWS, COLUMNS = np.random.default_rng(5).integers(0, 256, (2, 5000), dtype=np.uint8)
JPEG, PROGRESSIVE = encode(RGB, "JPEG"), encode(RGB, "JPEG", progressive=True, subsampling=0)
STRIP = RGB.reshape(1, -1, 3)


def tensor_of(image: Image.Image) -> np.ndarray:
    """What STEPS make of an image, by Pillow."""
    small = image.convert("RGB").resize((10, 14), Image.Resampling.NEAREST)
    return np.asarray(small, dtype=np.float32) / np.float32(255)


# Sound though odd: Pillow reads the same file.
TAKEN: dict[str, Callable[[], bytes]] = {
    "png interlaced": lambda: make.interlaced_png(RGB),
    "png interlaced, 3x2": lambda: make.interlaced_png(RGB[:2, :3]),
    "png of one byte a chunk": lambda: make.crumbled_png(RGB),
    "png with 1,000 unknown chunks": lambda: _beside(b"spAm", b"", 1000),
    "png, 1xN": lambda: encode(COLUMNS[np.newaxis], "PNG"),
    "png, Nx1": lambda: encode(ROWS[:, np.newaxis], "PNG"),
    "jpeg, 1xN": lambda: encode(STRIP, "JPEG"),
    "jpeg, Nx1": lambda: encode(STRIP.reshape(-1, 1, 3), "JPEG"),
    "jpeg progressive": lambda: PROGRESSIVE,
    "jpeg progressive, subsampled": lambda: encode(RGB, "JPEG", progressive=True),
    "jpeg progressive, grey": lambda: encode(GREY, "JPEG", progressive=True),
    "jpeg stored as RGB": lambda: encode(RGB, "JPEG", keep_rgb=True),
    "jpeg with 2,000 comments": lambda: JPEG[:2] + b"\xff\xfe\0\6note" * 2000 + JPEG[2:],
    "jpeg with 1,000 bytes of fill": lambda: JPEG[:2] + b"\xff" * 1000 + JPEG[2:],
    "jpeg with zeros after its end": lambda: JPEG + bytes(4096),
    "jpeg with orientation 1 twice": lambda: make.with_segment(
        encode(RGB, "JPEG", exif=make.turned(1)), 0xE1, _exif(1)
    ),
    "tiff of one row a strip": lambda: encode(RGB, "TIFF", strip_size=72),
    "tiff deflate, 1xN": lambda: encode(STRIP, "TIFF", compression="tiff_adobe_deflate"),
    "tiff, Nx1": lambda: encode(ROWS[:, np.newaxis], "TIFF"),
    "bmp, 1xN": lambda: encode(STRIP, "BMP"),
    "bmp with bytes after its end": lambda: encode(RGB, "BMP") + b"more",
    "ppm, 1xN": lambda: encode(STRIP, "PPM"),
    "pgm, Nx1": lambda: encode(ROWS[:, np.newaxis], "PPM"),
    "webp lossless, 1xN": lambda: encode(STRIP, "WEBP", lossless=True),
    "webp lossless, Nx1": lambda: encode(ROWS[:, np.newaxis], "WEBP", mode="RGB", lossless=True),
    "webp with a colour profile": lambda: encode(RGB, "WEBP", lossless=True, icc_profile=b"none"),
}


def _beside(kind: bytes, payload: bytes, count: int = 1) -> bytes:
    data = encode(RGB, "PNG")
    return data[:33] + make.chunk(kind, payload) * count + data[33:]


def _exif(*orientations: int) -> bytes:
    return b"Exif\0\0II*\0\x08\0\0\0" + make.directory([(274, 3, 1, value) for value in orientations])


@pytest.mark.parametrize("case", TAKEN)
def test_an_odd_but_sound_file_gives_the_tensor_that_pillow_gives(case: str) -> None:
    data = TAKEN[case]()
    with Image.open(io.BytesIO(data)) as image:
        expected = tensor_of(image)
    np.testing.assert_array_equal(preprocess(reader.read(data), STEPS), expected)


DEEP_FILES: dict[str, Callable[[], bytes]] = {
    "png": lambda: encode(DEEP, "PNG"),
    "png interlaced": lambda: make.interlaced_png(DEEP),
    "pgm": lambda: encode(DEEP, "PPM"),
    "tiff": lambda: encode(DEEP, "TIFF"),
    "tiff deflate": lambda: encode(DEEP, "TIFF", compression="tiff_adobe_deflate"),
}


@pytest.mark.parametrize("case", DEEP_FILES)
def test_16_bits_go_through_the_window_of_the_spec(case: str) -> None:
    shown = np.clip(np.rint((DEEP.astype(np.float64) - 1000) * 255 / 51_000), 0, 255).astype(np.uint8)
    found = preprocess(reader.read(DEEP_FILES[case]()), (WINDOW, *STEPS))
    np.testing.assert_array_equal(found, tensor_of(Image.fromarray(shown)))


@pytest.mark.parametrize("case", DEEP_FILES)
def test_16_bits_without_a_window_are_refused_with_the_way_out(case: str) -> None:
    with pytest.raises(ImageError, match=r"no window step.*Export the image as 8 bits with the window") as caught:
        preprocess(reader.read(DEEP_FILES[case](), name="deep"), STEPS)
    assert caught.value.code == "image_depth"


@pytest.mark.parametrize("orientation", range(10))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "WEBP"])
def test_a_rotation_is_refused_and_any_other_orientation_is_the_tensor_as_stored(kind: str, orientation: int) -> None:
    options = {"lossless": True} if kind == "WEBP" else {"tiffinfo": {274: orientation}} if kind == "TIFF" else {}
    data = encode(RGB, kind, **options, **({} if kind == "TIFF" else {"exif": make.turned(orientation)}))
    if not 2 <= orientation <= 8:
        with Image.open(io.BytesIO(data)) as image:
            expected = tensor_of(image)
        np.testing.assert_array_equal(preprocess(reader.read(data), STEPS), expected)
        return
    with pytest.raises(ImageError, match="apply the rotation") as caught:
        reader.read(data)
    assert caught.value.code == "image_orientation"


@pytest.mark.parametrize("scans", range(1, 10))
def test_a_progressive_jpeg_closed_after_any_scan_but_the_last_is_damaged(scans: int) -> None:
    """Decoders show such a file, coarser than it was, without a complaint: Pillow does."""
    data = make.closed_after_scan(PROGRESSIVE, scans)
    assert np.any(np.asarray(Image.open(io.BytesIO(data))) != np.asarray(Image.open(io.BytesIO(PROGRESSIVE))))
    with pytest.raises(ImageError, match="leave out a part") as caught:
        reader.read(data)
    assert caught.value.code == "image_damaged"


_PAGES = {"save_all": True, "append_images": [Image.fromarray(RGB[::-1].copy())]}
REFUSED: dict[str, tuple[str, Callable[[], bytes]]] = {
    "apng of one frame": ("image_frames", lambda: _beside(b"acTL", struct.pack(">II", 1, 0))),
    "apng whose control chunk is empty": ("image_frames", lambda: _beside(b"acTL", b"")),
    "gif animated": ("image_format", lambda: encode(RGB, "GIF", **_PAGES)),
    "webp animation of one frame": (
        "image_frames",
        lambda: make.riff((b"VP8X", b"\2" + bytes(9)), (b"ANMF", bytes(16))),
    ),
    "tiff of two big pages": ("image_frames", lambda: make.tiff(following=576, body=bytes(64) + make.directory([]))),
    "jpeg with a second, rotated EXIF block": (
        "image_orientation",
        lambda: make.with_segment(encode(RGB, "JPEG", exif=make.turned(1)), 0xE1, _exif(6)),
    ),
    "jpeg whose first EXIF block is rotated": (
        "image_orientation",
        lambda: make.with_segment(encode(RGB, "JPEG", exif=make.turned(6)), 0xE1, _exif(1)),
    ),
    "jpeg with two orientations in one block": (
        "image_orientation",
        lambda: make.with_segment(JPEG, 0xE1, _exif(1, 6)),
    ),
    "jpeg in CMYK, progressive": ("image_cmyk", lambda: encode(RGB, "JPEG", mode="CMYK", progressive=True)),
    "jpeg of 200 scans": ("image_format", lambda: make.many_scans(200)),
    "jpeg with a scan header of another length": (
        "image_damaged",
        lambda: JPEG.replace(b"\xff\xda\0\x0c\3", b"\xff\xda\0\x0c\2"),
    ),
    "jpeg of two components": ("image_damaged", lambda: JPEG.replace(b"\0\x18\0\x18\3", b"\0\x18\0\x18\2")),
    "jpeg of height 0": ("image_damaged", lambda: JPEG.replace(b"\0\x18\0\x18\3", b"\0\0\0\x18\3")),
    "tiff of half floats": ("image_depth", lambda: make.tiff(t256=4, t258=16, t339=3)),
    "tiff of double floats": ("image_depth", lambda: make.tiff(t256=1, t258=64, t339=3)),
    "tiff of complex numbers": ("image_depth", lambda: make.tiff(t256=1, t258=64, t339=6)),
    "tiff with reversed bits": ("image_format", lambda: make.tiff(t266=2)),
    "tiff whose tags are fractions": ("image_damaged", lambda: make.tiff(t256=(256, 5, 1, 8))),
    "tiff whose width is a file away": ("image_truncated", lambda: make.tiff(t256=(256, 4, 4, 1 << 31))),
    "tiff whose second page is beyond the end": ("image_truncated", lambda: make.tiff(following=1 << 31)),
    "tiff of 65,535 entries in 30 bytes": ("image_truncated", lambda: b"II*\0\x08\0\0\0\xff\xff" + bytes(20)),
    "png of width 2**31": ("image_too_large", lambda: make.png(1 << 31, 9, stream=b"")),
    "png of 2**32-1 squared": ("image_too_large", lambda: make.png((1 << 32) - 1, (1 << 32) - 1, stream=b"")),
    "png with two IHDR": ("image_damaged", lambda: _beside(b"IHDR", encode(GREY, "PNG")[16:29])),
    "png with two palettes of transparency": ("image_damaged", lambda: _beside(b"tRNS", bytes(6), 2)),
    "png whose chunk claims 2 GB": ("image_truncated", lambda: encode(RGB, "PNG")[:33] + b"\x7f\xff\xff\xffIDAT"),
    "png whose chunk claims 4 GB": ("image_truncated", lambda: encode(RGB, "PNG")[:33] + b"\xff\xff\xff\xffIDAT"),
    "png with 2 of 4 bits palette": ("image_palette", lambda: encode(GREY, "PNG", mode="P", bits=2)),
    "bmp with an OS/2 header": ("image_format", lambda: make.bmp(8, 8, info=12, data=bytes(200))),
    "bmp in run lengths": ("image_format", lambda: make.bmp(8, 8, bits=8, compression=1, data=bytes(2000))),
    "bmp of JPEG": ("image_format", lambda: make.bmp(8, 8, compression=4, data=bytes(2000))),
    "bmp of -2**31 rows": ("image_truncated", lambda: make.bmp(8, -(1 << 31), data=bytes(2000))),
    "bmp of negative width": ("image_damaged", lambda: make.bmp(-8, 8, data=bytes(2000))),
    "pgm of 999,999,999 squared": ("image_truncated", lambda: b"P5 999999999 999999999 255\n" + bytes(99)),
    "pgm of ten digits": ("image_damaged", lambda: b"P5 1234567890 1 255\n" + bytes(99)),
    "pgm of a megabyte of comment": ("image_damaged", lambda: b"P5\n#" + b"x" * 1_000_000 + b"\n1 1 255\n\0"),
    "pam": ("image_format", lambda: b"P7\nWIDTH 1\nHEIGHT 1\nDEPTH 1\nMAXVAL 255\nTUPLTYPE GRAYSCALE\nENDHDR\n\0"),
    "pfm": ("image_format", lambda: b"Pf\n1 1\n-1.0\n" + bytes(4)),
    "webp without an image": ("image_damaged", lambda: make.riff((b"VP8X", bytes(10)))),
    "webp whose canvas is 16,777,216 squared": (
        "image_too_large",
        lambda: make.riff((b"VP8X", b"\2\0\0\0" + b"\xff" * 6)),
    ),
    "sound": ("image_format", lambda: b"RIFF" + struct.pack("<I", 36) + b"WAVEfmt " + bytes(28)),
    "zip": ("image_format", lambda: b"PK\3\4" + bytes(60)),
    "gzip": ("image_format", lambda: zlib.compress(b"x", wbits=31)),
    "program": ("image_format", lambda: b"\x7fELF\2\1\1" + bytes(99)),
    "web page": ("image_format", lambda: b"<!DOCTYPE html><html><img src='a.png'></html>"),
    "web page saved as UTF-16": ("image_format", lambda: "<html>".encode("utf-16")),
    "letters that begin like a bitmap": ("image_damaged", lambda: b"BMW and other makes: a list of prices. " * 3),
    "letters that begin like a PNM": ("image_damaged", lambda: b"P5 is a room on the fifth floor, by the lift."),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_a_hostile_file_is_refused_by_its_own_code(case: str) -> None:
    code, built = REFUSED[case]
    with pytest.raises(ImageError) as caught:
        reader.read(built(), name="case")
    assert caught.value.code == code, caught.value.message
    assert code in KNOWN
    assert re.match(r"(?s)case: found .*expected .*\.$", caught.value.message)
