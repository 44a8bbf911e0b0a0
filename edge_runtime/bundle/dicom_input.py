"""The DICOM objects that a model accepts: a part of its spec, and of its preprocessing contract.

A model is made for pixels with a certain meaning. A DICOM object states that meaning in its attributes, so a spec says
which ones it accepts. Everything else is refused by name (:mod:`edge_runtime.dicom`).
"""

from __future__ import annotations

import enum
import re
from dataclasses import field

from edge_runtime.serialisation.frozen import dataclass
from edge_runtime.serialisation.records import ABSENT

LARGEST_SPACING_MM = 10.0
"""Largest pixel spacing of a spec, in millimetres."""


class Voi(enum.Enum):
    """How stored values become grey levels (PS3.3 C.11.2, C.11.1.1.2)."""

    NONE = "none"  # no window: 8 bits whose whole range is the grey scale
    LINEAR = "linear"
    LINEAR_EXACT = "linear_exact"
    SIGMOID = "sigmoid"
    LUT = "lut"


class DicomCrop(enum.Enum):
    """The part of the stored pixels that is the image."""

    NONE = "none"
    ULTRASOUND_REGION = "ultrasound_region"  # the one region of Sequence of Ultrasound Regions (PS3.3 C.8.5.5)


class Frames(enum.Enum):
    """What may be done with an object of several frames."""

    CHOSEN = "chosen"  # one frame, which a person chose
    CASE = "case"  # one chosen frame, or all frames as one case


class FrameChoice(enum.Enum):
    """What is asked of an object of several frames, where no frame number is given."""

    ALL = "all"  # all frames are one case


class Photometric(enum.Enum):
    """Photometric interpretations (PS3.3 C.7.6.3.1.2) that are understood."""

    MONOCHROME1 = "MONOCHROME1"
    MONOCHROME2 = "MONOCHROME2"
    PALETTE = "PALETTE COLOR"
    RGB = "RGB"
    YBR_FULL = "YBR_FULL"
    YBR_FULL_422 = "YBR_FULL_422"
    YBR_ICT = "YBR_ICT"
    YBR_RCT = "YBR_RCT"

    @property
    def is_grey(self) -> bool:
        """Whether the pixels have one channel without a colour table."""
        return self in (Photometric.MONOCHROME1, Photometric.MONOCHROME2)


GREY = (Photometric.MONOCHROME1, Photometric.MONOCHROME2)


@dataclass(frozen=True)
class SopClass:
    """A kind of DICOM object: its UID (PS3.4 B.5) and its name."""

    uid: str
    name: str

    def __post_init__(self) -> None:
        if not (re.fullmatch(r"[0-9]+(\.[0-9]+)+", self.uid) and len(self.uid) <= 64):
            raise ValueError(f"uid: found {self.uid!r}, expected numbers joined by full stops. Correct it.")


@dataclass(frozen=True)
class DicomInput:
    """The DICOM objects that a model accepts.

    Attributes:
        objects: accepted SOP classes.
        photometric: accepted photometric interpretations.
        voi: accepted ways from stored values to grey levels.
        crop: the part of the pixels that is the image.
        frames: what may be done with an object of several frames.
        lossy: whether pixels that were compressed with loss are accepted.
        spacing_mm: pixel spacing of the model's images in millimetres. The object must state its own; its pixels and
            the marked region are scaled to this one. None if the model does not depend on it.
    """

    objects: tuple[SopClass, ...]
    photometric: tuple[Photometric, ...]
    voi: tuple[Voi, ...]
    crop: DicomCrop = DicomCrop.NONE
    frames: Frames = Frames.CHOSEN
    lossy: bool = False
    spacing_mm: float | None = field(default=None, metadata=ABSENT)

    def __post_init__(self) -> None:
        for name, values in (("objects", self.objects), ("photometric", self.photometric), ("voi", self.voi)):
            if not values or len(set(values)) != len(values):
                raise ValueError(f"{name}: found {len(values)} values, expected one or more different ones.")
        if self.spacing_mm is not None and not 0.0 < self.spacing_mm <= LARGEST_SPACING_MM:
            raise ValueError(
                f"spacing_mm: found {self.spacing_mm}, expected a number above 0, at most {LARGEST_SPACING_MM:g}."
            )

    def accepts(self, uid: str) -> bool:
        """Return whether the model accepts objects of this SOP class."""
        return any(uid == each.uid for each in self.objects)
