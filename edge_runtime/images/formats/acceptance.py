"""Rules for valid files that are rejected by their header, before decoding."""

from __future__ import annotations

from collections.abc import Callable

from edge_runtime.errors import ImageSizeError
from edge_runtime.images.formats.header import MAX_PIXELS, Header, not_taken

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
