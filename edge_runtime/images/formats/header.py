"""The header that an inspector returns, the limits of inspection, and its errors."""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from edge_runtime.errors import ImageSizeError, ImageUnreadableError, ImageUnsupportedError

Pixels = npt.NDArray[np.uint8] | npt.NDArray[np.uint16]
OpenCV = Callable[[bytes], Pixels | None]
"""Decodes a whole file; returns None if it cannot."""

MAX_PIXELS = 64_000_000
"""Largest number of pixels of an image. It is about three times that of the largest mammograms (24 million) and above
common medium-format cameras (51 million). As 8-bit colour it takes 192 MB, which fits a device with 1 GB."""

MAX_WORKING_BYTES = 448_000_000
"""Largest memory for decoding one image, in bytes: the file, the pixels twice (OpenCV returns a copy) and the decoder's
buffers. With 50 MB for Python, NumPy and OpenCV, a process stays below 512 MiB."""
MAX_PARTS = 100_000
"""Largest number of chunks, segments or strips of one file. A file of 64 million pixels in chunks of 8 KB has 24,000.
Reading a file full of empty chunks would take minutes."""

MAX_WORK_S = 1.5
"""Largest processor time for decoding, as estimated by the inspectors for an x86-64 server core of 2023. It leaves a
margin below two seconds for checksums and for estimates that are too low."""

Part = tuple[int, int] | bytes
"""A part of the decoder's input: start and end in the file, or bytes that replace others."""


class ImageFormat(enum.Enum):
    """The supported formats; the value is the name in messages."""

    PNG = "PNG"
    JPEG = "JPEG"
    BMP = "BMP"
    PNM = "PNM"
    TIFF = "TIFF"
    WEBP = "WebP"


class Header(NamedTuple):
    """What a file declares about its pixels, before decoding.

    Attributes:
        format: the file's format.
        width_px: columns as stored, before any orientation; at least 1.
        height_px: rows as stored; at least 1.
        channels: 1 for grey or a palette index, 3 for colour, 4 for CMYK; alpha is not counted.
        bit_depth: bits a channel as stored, 1..64.
        palette: whether the values are indices into a colour table.
        alpha: whether there is an additional alpha channel; it is dropped if every pixel is opaque.
        transparent: the grey or RGB value that means full transparency in a PNG, if any.
        cmyk: whether the values are amounts of ink.
        orientation: EXIF or TIFF tag 274; 1 if rows and columns are stored as shown.
        frames: number of images in the file: pages, animation frames, concatenated images.
        buffer_bytes: largest memory of the decoder, in addition to the file and twice the pixels.
        work_s: estimated processor time for decoding in seconds, see MAX_WORK_S; 0 for formats that are always fast.
        decoder: decodes in place of OpenCV, which it may use for parts; None for OpenCV. It returns the same pixels as
            OpenCV, possibly without opaque alpha, and raises ValueError for damage.
        parts: the parts of the file that contain pixels, in order: the decoder's input. Empty for the whole file.
    """

    format: ImageFormat
    width_px: int
    height_px: int
    channels: int
    bit_depth: int
    palette: bool = False
    alpha: bool = False
    transparent: tuple[int, ...] | None = None
    cmyk: bool = False
    orientation: int = 1
    frames: int = 1
    buffer_bytes: int = 0
    parts: tuple[Part, ...] = ()
    work_s: float = 0.0
    decoder: Callable[[OpenCV], Pixels] | None = None

    @property
    def pixels(self) -> int:
        """Width times height."""
        return self.width_px * self.height_px

    @property
    def decoded_bytes(self) -> int:
        """Number of bytes of the decoded pixels; with alpha, OpenCV decodes grey as colour too."""
        return self.pixels * (4 if self.alpha else self.channels) * (2 if self.bit_depth > 8 else 1)


def joined(spans: Iterable[tuple[int, int]], length: int) -> tuple[tuple[int, int], ...]:
    """Return the spans in order, with adjacent ones merged; empty if they cover a whole file of this length."""
    found: list[tuple[int, int]] = []
    for start, end in spans:
        if found and found[-1][1] == start:
            found[-1] = (found[-1][0], end)
        else:
            found.append((start, end))
    return () if found == [(0, length)] else tuple(found)


def for_decoder(data: bytes, header: Header) -> bytes:
    """Return the decoder's input: the parts of an inspected file that contain pixels, or the whole file."""
    if not header.parts:
        return data
    view = memoryview(data)
    return b"".join(part if isinstance(part, bytes) else view[slice(*part)] for part in header.parts)


def truncated(name: str, kind: ImageFormat, where: str) -> ImageUnreadableError:
    """Return the error for a file that ends too early."""
    return ImageUnreadableError(
        f"{name}: found a {kind.value} file that ends too early ({where}), expected a complete one. "
        "Copy or export it again.",
        code="image_truncated",
    )


def damaged(name: str, kind: ImageFormat, found: str) -> ImageUnreadableError:
    """Return the error for a file that contradicts itself or its checksums."""
    return ImageUnreadableError(
        f"{name}: found a damaged {kind.value} file ({found}), expected a valid one. Copy or export it again.",
        code="image_damaged",
    )


def too_many_parts(name: str, kind: ImageFormat) -> ImageUnreadableError:
    """Return the error for a file with more parts than any program writes."""
    return damaged(name, kind, f"it has more than {MAX_PARTS} parts")


def not_taken(name: str, found: str, remedy: str, code: str = "image_format") -> ImageUnsupportedError:
    """Return the error for a valid file of a format or variant that is not supported."""
    return ImageUnsupportedError(f"{name}: found {found}, expected {remedy}.", code=code)


def too_much_work(name: str, seconds: float) -> ImageSizeError:
    """Return the error for an image whose decoding would take too much processor time."""
    return ImageSizeError(
        f"{name}: found pixels that take about {seconds:.1f} s of processor time to decode, expected at most "
        f"{MAX_WORK_S} s. Crop the region to classify and save it as PNG.",
        code="image_too_large",
    )
