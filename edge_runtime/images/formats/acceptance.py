"""Rules for rejected files: unsupported formats that users try, and valid files with unsupported pixels."""

from __future__ import annotations

import re
from collections.abc import Callable

from edge_runtime.errors import ImageSizeError
from edge_runtime.images.formats.header import MAX_PIXELS, Header, not_taken

_ONE_IMAGE = "one still image in PNG"
_AS_PNG = "PNG or JPEG; export it as PNG"

# Each pattern is matched at the first byte, and has no groups; the third column completes "expected ...".
_FOREIGN = (
    (rb".{128}DICM", "a DICOM file", "PNG or TIFF; export it as PNG with the window its readers use"),
    (rb"GIF8[79]a", "a GIF file", _ONE_IMAGE + ", saved from the original (GIF keeps 256 colours)"),
    (rb".{4}ftyp(?:avif|avis)", "an AVIF file", _AS_PNG),
    (rb".{4}ftyp(?:hei[cmsx]|hev[cmsx]|mif1|msf1)", "a HEIC file", _AS_PNG),
    (rb".{4}ftyp", "a video or other ISO media file", _ONE_IMAGE),
    (rb"%PDF-", "a PDF document", "an image; export the page's image as PNG, without resampling"),
    (rb"(?:\xef\xbb\xbf)?\s*(?:<\?xml[^>]*>\s*)?(?:<!--.{,999}?-->\s*)?(?:<!DOCTYPE svg[^>]*>\s*)?<svg\b",
     "an SVG drawing", "an image made of pixels; take the original recording"),
    (rb"\0\0\0\x0cjP  \r\n\x87\n|\xff\x4f\xff\x51", "a JPEG 2000 file", "PNG or TIFF; export it as PNG"),
    (rb"\xff\x0a|\0\0\0\x0cJXL \r\n\x87\n", "a JPEG XL file", _AS_PNG),
    (rb"II\x2b\0|MM\0\x2b", "a BigTIFF file", "classic TIFF; export the region to classify as PNG"),
    (rb"P[14]\s", "a PNM bitmap of 1 bit", "8 or 16 bits a channel; export the grey or colour original"),
    (rb"P[23]\s", "a PNM file in ASCII", "binary PNM (P5 or P6); convert it to PNG"),
    (rb"P7\n|P[Ff]\s", "a PAM or PFM file", "P5, P6 or PNG with 8 or 16 bits; convert it to PNG"),
    (rb".{344}n[+i]1\0", "a NIfTI volume", "an image; export one slice as PNG"),
    (rb"\x1f\x8b|PK\x03\x04|7z\xbc\xaf", "a compressed archive", "an image; unpack it first"),
)  # fmt: skip
_ANY_FOREIGN = re.compile(b"|".join(b"(%b)" % pattern for pattern, _, _ in _FOREIGN), re.DOTALL)

# Code, whether it applies, what was found, and what completes "expected ...".
_RULES: tuple[tuple[str, Callable[[Header], bool], str, str], ...] = (
    (
        "image_frames",
        lambda header: header.frames > 1,
        "several images in one {header.format.value} file",
        "one; save the image to classify as a file of its own",
    ),
    (
        "image_orientation",
        lambda header: header.orientation != 1,
        "EXIF orientation {header.orientation}",
        "1 (stored as shown); apply the rotation in an image program and save it again",
    ),
    (
        "image_palette",
        lambda header: header.palette,
        "a palette of colours",
        "grey or colour values; save the original as greyscale or RGB, without a palette",
    ),
    (
        "image_cmyk",
        lambda header: header.cmyk,
        "CMYK inks",
        "grey or RGB; convert it to RGB with the colour profile that it was made with",
    ),
    (
        "image_depth",
        lambda header: header.bit_depth not in (8, 16),
        "{header.bit_depth} bits a channel",
        "8 or 16; export it again from the original with 8 or 16 bits",
    ),
)


def check_size(width_px: int, height_px: int, min_side_px: int, name: str) -> None:
    """Reject an image that is too large to decode or too small to classify.

    Raises:
        ImageSizeError: ``image_too_large`` or ``image_too_small``.
    """
    if width_px * height_px > MAX_PIXELS:
        raise ImageSizeError(
            f"{name}: found {width_px}x{height_px} px, expected at most {MAX_PIXELS} pixels. "
            "Crop the region to classify.",
            code="image_too_large",
        )
    if min(width_px, height_px) < min_side_px:
        raise ImageSizeError(
            f"{name}: found {width_px}x{height_px} px, expected a shorter side of at least {min_side_px} px. "
            "Enlarging would invent detail: take the original image, no thumbnail.",
            code="image_too_small",
        )


def check(header: Header, min_side_px: int, name: str) -> None:
    """Reject an image by its header, before decoding.

    Raises:
        ImageSizeError: see :func:`check_size`.
        ImageUnsupportedError: one of ``image_frames``, ``image_orientation``, ``image_palette``,
            ``image_cmyk`` and ``image_depth``.
    """
    check_size(header.width_px, header.height_px, min_side_px, name)
    for code, applies, found, remedy in _RULES:
        if applies(header):
            raise not_taken(name, found.format(header=header), remedy, code)


def refuse_foreign(data: bytes, name: str) -> None:
    """Raise ImageUnsupportedError for an unsupported format: ``image_format``, or ``image_depth`` if it has 1 bit."""
    if match := _ANY_FOREIGN.match(data, 0, 4096):
        _, found, expected = _FOREIGN[match.groups().index(match[0])]
        raise not_taken(name, found, expected, "image_depth" if "1 bit" in found else "image_format")
