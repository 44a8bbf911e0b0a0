"""What an inspector reports about a file, and the three ways in which a file can fail inspection."""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from edge_runtime.errors import ImageSizeError, ImageUnreadableError, ImageUnsupportedError

Pixels = npt.NDArray[np.uint8] | npt.NDArray[np.uint16]
OpenCV = Callable[[bytes], Pixels | None]
"""Decodes a whole file; None where it cannot."""

MAX_PIXELS = 64_000_000
"""Most pixels that are decoded: about three times the largest mammograms (some 24 million) and above the
usual medium-format cameras (51 million), yet 192 MB as 8-bit colour, which a device with 1 GB can hold."""

MAX_WORKING_BYTES = 448_000_000
"""Most bytes that decoding one image may take: its file, its pixels twice (OpenCV hands on a copy) and what its
decoder keeps beside them. With the 50 MB of Python, NumPy and OpenCV a process stays below 512 MiB."""
MAX_PARTS = 100_000
"""Most chunks, segments or strips of one file. A file of 64 million pixels in chunks of 8 KB has 24,000; walking
empty ones that fill a file would take minutes."""

MAX_WORK_S = 1.5
"""Most processor time that decoding may take by the inspectors' estimates, which hold for an x86-64 server core of
2023. It leaves room below two seconds for checksums and for estimates that are too low."""

Part = tuple[int, int] | bytes
"""A piece of what the decoder is handed: start and end in the file, or bytes that stand for others."""


class ImageFormat(enum.Enum):
    """The formats that are taken; the value is the name for messages."""

    PNG = "PNG"
    JPEG = "JPEG"
    BMP = "BMP"
    PNM = "PNM"
    TIFF = "TIFF"
    WEBP = "WebP"


@dataclass(frozen=True)
class Header:
    """What a file declares about its pixels before anything is decoded.

    Attributes:
        width_px: columns as stored, before any orientation; at least 1.
        height_px: rows as stored; at least 1.
        channels: 1 for grey or a palette index, 3 for colour, 4 for CMYK; alpha is not counted.
        bit_depth: bits a channel as stored, 1..64.
        palette: the values are indices into a table of colours.
        alpha: there is an alpha channel beside the channels; it is dropped where every pixel is opaque.
        transparent: the one grey or RGB value that stands for full transparency in a PNG, if any.
        cmyk: the values are amounts of ink.
        orientation: EXIF or TIFF tag 274; 1 when rows and columns are stored as they are shown.
        frames: images in the file: pages, animation frames, concatenated images.
        buffer_bytes: what the decoder keeps beside the file and twice the pixels, at most.
        work_s: estimate of the processor time that decoding takes, see MAX_WORK_S; 0 where no file takes long.
        decoder: decodes in place of OpenCV, which it may use for parts; None for OpenCV. It returns what OpenCV would,
            or what remains of it without opaque alpha, and raises ValueError for damage.
        parts: what the decoder is handed, in order: that which carries pixels. Empty for the whole file as it is.
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
    decoder: Callable[[OpenCV], Pixels] | None = field(default=None, repr=False, compare=False)

    @property
    def pixels(self) -> int:
        """Width times height."""
        return self.width_px * self.height_px

    @property
    def decoded_bytes(self) -> int:
        """The bytes of the decoded pixels; with alpha, OpenCV decodes grey as colour, too."""
        return self.pixels * (4 if self.alpha else self.channels) * (2 if self.bit_depth > 8 else 1)


def joined(spans: Iterable[tuple[int, int]], length: int) -> tuple[tuple[int, int], ...]:
    """The spans in order, those that adjoin taken together; nothing if they are all of a file of this length."""
    found: list[tuple[int, int]] = []
    for start, end in spans:
        if found and found[-1][1] == start:
            found[-1] = (found[-1][0], end)
        else:
            found.append((start, end))
    return () if found == [(0, length)] else tuple(found)


def for_decoder(data: bytes, header: Header) -> bytes:
    """What carries the pixels of a file that was inspected; the very file where it holds nothing else."""
    if not header.parts:
        return data
    view = memoryview(data)
    return b"".join(part if isinstance(part, bytes) else view[slice(*part)] for part in header.parts)


def truncated(name: str, kind: ImageFormat, where: str) -> ImageUnreadableError:
    """The file ends too early."""
    return ImageUnreadableError(
        f"{name}: found a {kind.value} file that ends too early ({where}), expected a whole one. "
        "Copy or export it again.",
        code="image_truncated",
    )


def damaged(name: str, kind: ImageFormat, found: str) -> ImageUnreadableError:
    """The file contradicts itself or its checksums."""
    return ImageUnreadableError(
        f"{name}: found a damaged {kind.value} file ({found}), expected a sound one. Copy or export it again.",
        code="image_damaged",
    )


def too_many_parts(name: str, kind: ImageFormat) -> ImageUnreadableError:
    """The file is cut into more parts than any writer makes."""
    return damaged(name, kind, f"it has more than {MAX_PARTS} parts")


def not_taken(name: str, found: str, remedy: str, code: str = "image_format") -> ImageUnsupportedError:
    """The file is sound, but of a format or a variant of one that is not taken."""
    return ImageUnsupportedError(f"{name}: found {found}, expected {remedy}.", code=code)


def too_much_work(name: str, seconds: float) -> ImageSizeError:
    """Decoding would take too much processor time."""
    return ImageSizeError(
        f"{name}: found pixels that take about {seconds:.1f} s of processor time to decode, expected at most "
        f"{MAX_WORK_S} s. Crop the region to classify and save it as PNG.",
        code="image_too_large",
    )
