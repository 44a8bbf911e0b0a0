"""What an inspector reports about a file, and the three ways in which a file can fail inspection."""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from edge_runtime.errors import ImageSizeError, ImageUnreadableError, ImageUnsupportedError

Pixels = npt.NDArray[np.uint8] | npt.NDArray[np.uint16]

MAX_PIXELS = 64_000_000
"""Most pixels that are decoded: about three times the largest mammograms (some 24 million) and above the
usual medium-format cameras (51 million), yet 192 MB as 8-bit colour, which a device with 1 GB can hold."""

MAX_WORKING_BYTES = 448_000_000
"""Most bytes that decoding one picture may take: its file, its pixels twice (OpenCV hands on a copy) and what its
decoder keeps beside them. With the 50 MB of Python, NumPy and OpenCV a process stays below 512 MiB."""
MAX_PARTS = 200_000
"""Most chunks or segments that are walked, some 0.3 s of work. Empty ones could fill a file for minutes."""

MAX_WORK_S = 1.5
"""Most processor time that decoding may take by the inspectors' estimates, which hold for an x86-64 server core of
2023. It leaves room below two seconds for checksums and for estimates that are too low."""


class Format(enum.Enum):
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
        alpha: there is a channel beside the colours. Only after decoding it is known whether it is opaque.
        clear_value: the grey value (1) or colour (3, RGB) that is declared transparent; None for none.
        cmyk: the values are amounts of ink.
        orientation: EXIF or TIFF tag 274; 1 when rows and columns are stored as they are shown.
        frames: pictures in the file: pages, animation frames, concatenated images.
        buffer_bytes: what the decoder keeps beside the file and twice the pixels, at most.
        work_s: estimate of the processor time that decoding takes, see MAX_WORK_S.
        stream: makes the bytes that OpenCV decodes, where those of the file hold more than pixels; None for the
            file itself.
        decoder: decodes without OpenCV's decoder of the format; None where that decoder is used. It returns pixels
            as :func:`edge_runtime.formats.decoding.decode` does, and raises ValueError for damage.
    """

    format: Format
    width_px: int
    height_px: int
    channels: int
    bit_depth: int
    palette: bool = False
    alpha: bool = False
    cmyk: bool = False
    orientation: int = 1
    frames: int = 1
    buffer_bytes: int = 0
    clear_value: tuple[int, ...] | None = None
    work_s: float = 0.0
    stream: Callable[[], bytes | memoryview] | None = field(default=None, repr=False, compare=False)
    decoder: Callable[[], Pixels] | None = field(default=None, repr=False, compare=False)

    @property
    def pixels(self) -> int:
        """Width times height."""
        return self.width_px * self.height_px

    @property
    def decoded_bytes(self) -> int:
        """The bytes of the decoded pixels; with alpha OpenCV makes four channels, of grey as well."""
        return self.pixels * (4 if self.alpha else self.channels) * (2 if self.bit_depth > 8 else 1)


def truncated(name: str, kind: Format, where: str) -> ImageUnreadableError:
    """The file ends too early."""
    return ImageUnreadableError(
        f"{name}: found a {kind.value} file that ends too early ({where}), expected a whole one. "
        "Copy or export it again.",
        code="image_truncated",
    )


def damaged(name: str, kind: Format, found: str) -> ImageUnreadableError:
    """The file contradicts itself or its checksums."""
    return ImageUnreadableError(
        f"{name}: found a damaged {kind.value} file ({found}), expected a sound one. Copy or export it again.",
        code="image_damaged",
    )


def too_many_parts(name: str, kind: Format) -> ImageUnreadableError:
    """The file is cut into more parts than any writer makes."""
    return damaged(name, kind, f"it has more than {MAX_PARTS} parts")


def not_taken(name: str, found: str, remedy: str, code: str = "image_format") -> ImageUnsupportedError:
    """The file is sound, but of a format or a variant of one that is not taken."""
    return ImageUnsupportedError(f"{name}: found {found}, expected {remedy}.", code=code)


def transparent(name: str) -> ImageUnsupportedError:
    """Some pixel is not opaque: what it shows depends on the background."""
    remedy = "none, or an alpha channel that is opaque everywhere; flatten it on the background that its readers see"
    return not_taken(name, "transparency", f"{remedy} and save it again", "image_alpha")


def too_much_work(name: str, seconds: float) -> ImageSizeError:
    """Decoding would take too much processor time."""
    return ImageSizeError(
        f"{name}: found pixels that take about {seconds:.1f} s of processor time to decode, expected at most "
        f"{MAX_WORK_S} s. Crop the region to classify and save it as PNG.",
        code="image_too_large",
    )
