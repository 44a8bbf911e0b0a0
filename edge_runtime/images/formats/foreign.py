"""Unsupported formats that users try."""

from __future__ import annotations

import re

from edge_runtime.images.formats.header import not_taken

_ONE_IMAGE = "one still image in PNG"
_AS_PNG = "PNG or JPEG; export it as PNG"

# Each pattern is matched at the first byte; the third column completes "expected ...".
_FOREIGN: tuple[tuple[bytes, str, str], ...] = (
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


def refuse_foreign(data: bytes, name: str) -> None:
    """Raise ImageUnsupportedError for an unsupported format: ``image_format``, or ``image_depth`` if it has 1 bit."""
    head = data[:4096]
    for pattern, found, expected in _FOREIGN:
        if re.match(pattern, head, re.DOTALL):
            raise not_taken(name, found, expected, "image_depth" if "1 bit" in found else "image_format")
