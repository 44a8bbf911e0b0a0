"""What a folder holds and is not answered, each with its reason."""

from __future__ import annotations

import enum
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from edge_runtime.platform.escaped_names import shown

MOST_NAMED = 5
"""Where more are left out, a summary counts them without their names."""


class LeftOutReason(enum.Enum):
    """Why a file or folder is left out; the value stands in results files, the order is that of summaries."""

    DICOM = "dicom"
    CAMERA_RAW = "camera_raw"
    UNREADABLE = "unreadable"
    UNKNOWN_KIND = "unknown_kind"
    HIDDEN = "hidden"
    UNFINISHED = "unfinished"
    APPLE_DOUBLE = "apple_double"
    THUMBNAIL_FOLDER = "thumbnail_folder"
    SYSTEM = "system"
    LINKED_FOLDER = "linked_folder"
    LOOP = "loop"
    BROKEN_LINK = "broken_link"
    SPECIAL_FILE = "special_file"

    @property
    def expects_answer(self) -> bool:
        """Whether it is, or may be, an image that someone expects an answer to."""
        return self in (LeftOutReason.DICOM, LeftOutReason.CAMERA_RAW, LeftOutReason.UNREADABLE)

    @property
    def words(self) -> str:
        """The reason as summaries say it."""
        return _WORDS.get(self) or self.value.replace("_", " ")


_WORDS = {LeftOutReason.DICOM: "DICOM", LeftOutReason.APPLE_DOUBLE: "AppleDouble"}


@dataclass(frozen=True)
class LeftOut:
    """A file, or a folder with all that is in it.

    Attributes:
        path: as it follows from the folder that was given.
    """

    path: str
    reason: LeftOutReason


def expects_answer(left_out: Sequence[LeftOut]) -> bool:
    """Tell whether any of these is an image that someone expects an answer to: the exit status is 1 then."""
    return any(item.reason.expects_answer for item in left_out)


def summary(left_out: Sequence[LeftOut]) -> str:
    """Return ``left out: 2 DICOM (a.dcm, IM1), 1 hidden (.x).``: counts by reason, few of them with their names."""
    counts = Counter(item.reason for item in left_out)
    parts = [f"{counts[reason]} {reason.words}{_named(left_out, reason)}" for reason in LeftOutReason if counts[reason]]
    text = f"left out: {', '.join(parts)}."
    if counts[LeftOutReason.DICOM]:
        text += " Export DICOM as PNG or TIFF with the window that its readers use."
    return text


def _named(left_out: Sequence[LeftOut], reason: LeftOutReason) -> str:
    if len(left_out) > MOST_NAMED:
        return ""
    return f" ({', '.join(shown(item.path) for item in left_out if item.reason is reason)})"
