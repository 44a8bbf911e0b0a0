"""Sound files whose pixels are not what a model was made for are refused, each by its own code."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image

from edge_runtime.errors import ImageError, ImageUnsupportedError
from edge_runtime.images import reader

_RNG = np.random.default_rng(21)
IMAGE = Image.fromarray(_RNG.integers(0, 256, (12, 10, 3), dtype=np.uint8))
ROTATED = Image.Exif()
ROTATED[274] = 6


def save(kind: str, mode: str = "RGB", **options: object) -> bytes:
    """Convert and encode with Pillow."""
    buffer = io.BytesIO()
    IMAGE.convert(mode).save(buffer, kind, **options)
    return buffer.getvalue()


def png(depth: int, colour: int, width: int = 8, height: int = 8, extra: bytes = b"") -> bytes:
    """A hand-made PNG of zeros with valid CRCs."""

    def chunk(kind: bytes, payload: bytes) -> bytes:
        return struct.pack(">I", len(payload)) + kind + payload + struct.pack(">I", zlib.crc32(kind + payload))

    rows = zlib.compress(bytes((1 + 8 * width) * min(height, 8)))
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + extra + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def jpeg_frame(precision: int, width: int, height: int, marker: int = 0xC0) -> bytes:
    """A JPEG whose frame header is replaced."""
    data = bytearray(save("JPEG", "L"))
    at = data.index(b"\xff\xc0")
    data[at + 1] = marker
    struct.pack_into(">BHH", data, at + 4, precision, height, width)
    return bytes(data)


def tiff(**tags: int) -> bytes:
    """A hand-made grey TIFF of 8x8 zeros; arguments like ``t262=0`` replace tags."""
    values = {256: 8, 257: 8, 258: 8, 259: 1, 262: 1, 273: 200, 277: 1, 278: 8, 279: 64}
    values |= {int(key[1:]): value for key, value in tags.items()}
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, values[tag]) for tag in sorted(values))
    head = b"II*\0" + struct.pack("<IH", 8, len(values)) + entries + bytes(4)
    return head.ljust(200, b"\0") + bytes(64)


PAGES = {"save_all": True, "append_images": [IMAGE.rotate(180)]}

REFUSED: dict[str, tuple[str, Callable[[], bytes]]] = {
    "png with alpha": ("image_alpha", lambda: _see_through("PNG")),
    "png of grey with alpha": ("image_alpha", lambda: _see_through("PNG", "LA")),
    "png with a transparent colour": ("image_alpha", lambda: save("PNG", transparency=IMAGE.getpixel((3, 4)))),
    "png of grey with a transparent value": ("image_alpha", lambda: save("PNG", "L", transparency=_grey())),
    "webp with alpha": ("image_alpha", lambda: _see_through("WEBP")),
    "webp lossless with alpha": ("image_alpha", lambda: _see_through("WEBP", lossless=True)),
    "tiff with alpha": ("image_alpha", lambda: _see_through("TIFF")),
    "tiff of grey with alpha": ("image_alpha", lambda: _see_through("TIFF", "LA")),
    "bmp of 32 bits": ("image_alpha", lambda: _see_through("BMP")),
    "png with a palette": ("image_palette", lambda: save("PNG", "P")),
    "tiff with a palette": ("image_palette", lambda: save("TIFF", "P")),
    "bmp with a palette": ("image_palette", lambda: save("BMP", "P")),
    "bmp of 1 bit": ("image_palette", lambda: save("BMP", "1")),
    "jpeg in CMYK": ("image_cmyk", lambda: save("JPEG", "CMYK")),
    "tiff in CMYK": ("image_cmyk", lambda: save("TIFF", "CMYK")),
    "jpeg rotated": ("image_orientation", lambda: save("JPEG", exif=ROTATED)),
    "png rotated": ("image_orientation", lambda: save("PNG", exif=ROTATED)),
    "webp rotated": ("image_orientation", lambda: save("WEBP", exif=ROTATED)),
    "tiff rotated": ("image_orientation", lambda: save("TIFF", exif=ROTATED)),
    "png animated": ("image_frames", lambda: save("PNG", **PAGES)),
    "webp animated": ("image_frames", lambda: save("WEBP", **PAGES)),
    "tiff with two pages": ("image_frames", lambda: save("TIFF", **PAGES)),
    "pnm with two images": ("image_frames", lambda: save("PPM") * 2),
    "jpeg with a second image": ("image_frames", lambda: save("JPEG") * 2),
    "png of 1 bit": ("image_depth", lambda: png(1, 0)),
    "png of 2 bits": ("image_depth", lambda: png(2, 0)),
    "png of 4 bits": ("image_depth", lambda: png(4, 0)),
    "jpeg of 12 bits": ("image_depth", lambda: jpeg_frame(12, 10, 12, 0xC1)),
    "tiff of 1 bit": ("image_depth", lambda: save("TIFF", "1")),
    "tiff of 10 bits": ("image_depth", lambda: tiff(t258=10, t279=80, t273=184)),
    "tiff of 32 bits": ("image_depth", lambda: tiff(t256=2, t258=32)),
    "tiff of floating point": ("image_depth", lambda: save("TIFF", "F")),
    "tiff of signed numbers": ("image_depth", lambda: tiff(t339=2)),
    "pnm of maximum 100": ("image_depth", lambda: b"P5 2 2 100\nabcd"),
    "pnm of maximum 4095": ("image_depth", lambda: b"P5 2 2 4095\n" + bytes(8)),
    "pnm of 1 bit": ("image_depth", lambda: save("PPM", "1")),
    "bmp of 16 bits": ("image_depth", lambda: _bmp_of_16_bits()),
    "png of 100000x100000": ("image_too_large", lambda: png(8, 0, 100_000, 100_000)),
    "jpeg of 60000x60000": ("image_too_large", lambda: jpeg_frame(8, 60_000, 60_000)),
    "tiff of 60000x60000": ("image_too_large", lambda: tiff(t256=60_000, t257=60_000)),
    "tiff with inverted grey": ("image_format", lambda: tiff(t262=0)),
    "tiff of LZW": ("image_format", lambda: save("TIFF", compression="tiff_lzw")),
    "tiff of JPEG": ("image_format", lambda: save("TIFF", compression="jpeg")),
    "tiff of PackBits": ("image_format", lambda: save("TIFF", compression="packbits")),
    "tiff in tiles": ("image_format", lambda: tiff(t324=200)),
    "tiff with colour planes apart": ("image_format", lambda: tiff(t284=2, t277=3, t262=2, t279=192)),
    "jpeg of lossless coding": ("image_format", lambda: jpeg_frame(8, 10, 12, 0xC3)),
    "gif": ("image_format", lambda: save("GIF")),
    "pdf": ("image_format", lambda: b"%PDF-1.7\n" + bytes(99)),
    "svg": ("image_format", lambda: b'<?xml version="1.0"?>\n<svg xmlns="http://www.w3.org/2000/svg"/>'),
    "avif": ("image_format", lambda: b"\0\0\0\x20ftypavif" + bytes(99)),
    "heic": ("image_format", lambda: b"\0\0\0\x20ftypheic" + bytes(99)),
    "dicom": ("image_format", lambda: bytes(128) + b"DICM" + bytes(99)),
    "jpeg 2000": ("image_format", lambda: save("JPEG2000")),
    "bigtiff": ("image_format", lambda: b"II\x2b\0\x08\0\0\0" + bytes(99)),
    "pnm in ASCII": ("image_format", lambda: b"P2\n2 2\n255\n1 2 3 4\n"),
    "text": ("image_format", lambda: b"a report, not an image"),
    "zeros": ("image_format", lambda: bytes(500)),
    "one byte": ("image_format", lambda: b"x"),
    "nothing": ("image_empty", lambda: b""),
}


def _grey() -> object:
    return IMAGE.convert("L").getpixel((3, 4))


def _see_through(kind: str, mode: str = "RGBA", **options: object) -> bytes:
    """One pixel is all but opaque."""
    buffer, half = io.BytesIO(), IMAGE.convert(mode)
    alpha = Image.new("L", half.size, 255)
    alpha.putpixel((9, 11), 254)
    half.putalpha(alpha)
    half.save(buffer, kind, **options)
    return buffer.getvalue()


def _bmp_of_16_bits() -> bytes:
    head = struct.pack("<IiiHHIIiiII", 40, 4, 4, 1, 16, 0, 0, 0, 0, 0, 0)
    return b"BM" + struct.pack("<IHHI", 86, 0, 0, 54) + head + bytes(32)


@pytest.mark.parametrize("case", REFUSED)
def test_a_image_that_is_not_taken_is_refused_by_its_own_code(case: str) -> None:
    code, make = REFUSED[case]
    with pytest.raises(ImageError) as caught:
        reader.read(make(), name="case")
    assert caught.value.code == code, caught.value.message
    assert caught.value.message.startswith("case: found ")
    assert "expected" in caught.value.message
    assert caught.value.message.endswith(".")


def test_a_dicom_file_is_told_how_to_become_a_image() -> None:
    with pytest.raises(ImageUnsupportedError, match=r"a DICOM file.*export it as PNG with the window"):
        reader.read(bytes(128) + b"DICM" + bytes(99))


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (b"GIF89a", "a GIF file"),
        (b"\0\0\0\x20ftypavif", "an AVIF file"),
        (b"\0\0\0\x20ftypheic", "a HEIC file"),
        (b"\0\0\0\x20ftypisom", "a video or other ISO media file"),
        (b"%PDF-1.7", "a PDF document"),
        (b"\xef\xbb\xbf <?xml?><!-- a --><!DOCTYPE svg><svg ", "an SVG drawing"),
        (b"\xff\x4f\xff\x51", "a JPEG 2000 file"),
        (b"\xff\x0a", "a JPEG XL file"),
        (b"MM\0\x2b", "a BigTIFF file"),
        (b"P4\n", "a PNM bitmap of 1 bit"),
        (b"P3\n", "a PNM file in ASCII"),
        (b"Pf\n", "a PAM or PFM file"),
        (bytes(344) + b"n+1\0", "a NIfTI volume"),
        (b"PK\x03\x04", "a compressed archive"),
        (b"\x89PNG\r\n\x1a\n".ljust(128) + b"DICM", "a DICOM file"),
        (b"\0\0\0\x20ftypavif".ljust(128) + b"DICM", "a DICOM file"),
    ],
)
def test_a_foreign_format_is_called_by_its_name(data: bytes, kind: str) -> None:
    with pytest.raises(ImageUnsupportedError, match=f"^case: found {kind}, expected"):
        reader.read(data + bytes(99), name="case")


def test_a_phone_photograph_with_a_gain_map_behind_it_is_its_first_image() -> None:
    data = save("JPEG")
    mark = b"\xff\xe2" + struct.pack(">H", 18) + b"MPF\0" + bytes(12)
    image = reader.read(data[:2] + mark + data[2:] + save("JPEG", "L"))
    assert np.array_equal(image.pixels, reader.read(data).pixels)
