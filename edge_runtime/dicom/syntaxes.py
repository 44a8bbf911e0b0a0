"""Transfer syntaxes (PS3.5 section 10, PS3.6 annex A): which are read, and what each needs."""

from __future__ import annotations

import enum
from dataclasses import dataclass

IMPLICIT_LITTLE = "1.2.840.10008.1.2"
EXPLICIT_LITTLE = "1.2.840.10008.1.2.1"
DEFLATED = "1.2.840.10008.1.2.1.99"
EXTENDED = "1.2.840.10008.1.2.4.51"
RLE = "1.2.840.10008.1.2.5"


class Codec(enum.Enum):
    """How frames are compressed."""

    NATIVE = "not compressed"
    RLE = "RLE"
    JPEG = "JPEG"
    JPEG_LS = "JPEG-LS"
    JPEG_2000 = "JPEG 2000"
    HTJ2K = "HTJ2K"
    VIDEO = "video"


@dataclass(frozen=True)
class Syntax:
    """A transfer syntax.

    Attributes:
        uid: its UID.
        name: its name in texts.
        codec: how frames are compressed.
        lossy: whether the compression may change pixels.
        implicit: whether value representations are left out.
        little: whether numbers are little-endian.
    """

    uid: str
    name: str
    codec: Codec = Codec.NATIVE
    lossy: bool = False
    implicit: bool = False
    little: bool = True

    @property
    def compressed(self) -> bool:
        """Whether the pixel data is encapsulated."""
        return self.codec is not Codec.NATIVE

    @property
    def readable(self) -> bool:
        """Whether single frames can be decoded, given the packages for it."""
        return self.codec is not Codec.VIDEO


_JPEG = "1.2.840.10008.1.2.4."
SYNTAXES = {
    each.uid: each
    for each in (
        Syntax(IMPLICIT_LITTLE, "Implicit VR Little Endian", implicit=True),
        Syntax(EXPLICIT_LITTLE, "Explicit VR Little Endian"),
        Syntax(DEFLATED, "Deflated Explicit VR Little Endian"),
        Syntax("1.2.840.10008.1.2.2", "Explicit VR Big Endian", little=False),
        Syntax(RLE, "RLE Lossless", Codec.RLE),
        Syntax(f"{_JPEG}50", "JPEG Baseline (Process 1)", Codec.JPEG, lossy=True),
        Syntax(EXTENDED, "JPEG Extended (Process 2 and 4)", Codec.JPEG, lossy=True),
        Syntax(f"{_JPEG}57", "JPEG Lossless (Process 14)", Codec.JPEG),
        Syntax(f"{_JPEG}70", "JPEG Lossless (Process 14, Selection Value 1)", Codec.JPEG),
        Syntax(f"{_JPEG}80", "JPEG-LS Lossless", Codec.JPEG_LS),
        Syntax(f"{_JPEG}81", "JPEG-LS Near-Lossless", Codec.JPEG_LS, lossy=True),
        Syntax(f"{_JPEG}90", "JPEG 2000 Lossless", Codec.JPEG_2000),
        Syntax(f"{_JPEG}91", "JPEG 2000", Codec.JPEG_2000, lossy=True),
        Syntax(f"{_JPEG}201", "High-Throughput JPEG 2000 Lossless", Codec.HTJ2K),
        Syntax(f"{_JPEG}202", "High-Throughput JPEG 2000 with RPCL Lossless", Codec.HTJ2K),
        Syntax(f"{_JPEG}203", "High-Throughput JPEG 2000", Codec.HTJ2K, lossy=True),
        *(
            Syntax(f"{_JPEG}{number}", name, Codec.VIDEO, lossy=True)
            for number, name in (
                ("100", "MPEG2 video"),
                ("100.1", "MPEG2 video"),
                ("101", "MPEG2 video"),
                ("101.1", "MPEG2 video"),
                *((f"{n}{dot}", "MPEG-4 video") for n in (102, 103, 104, 105, 106) for dot in ("", ".1")),
                ("107", "HEVC video"),
                ("108", "HEVC video"),
            )
        ),
    )
}
"""UID → transfer syntax. Syntaxes that are not listed are refused: JPIP, JPT, JPEG processes that were retired."""
