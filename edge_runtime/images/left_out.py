"""Files and folders that are left out of a prediction, each with its reason."""

from __future__ import annotations

import enum
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from edge_runtime.platform.escaped_names import shown

MOST_NAMED = 5
"""Largest number of left-out entries that a summary names; above it, the summary contains only counts."""


class LeftOutReason(enum.Enum):
    """The reason why a file or folder is left out. Results files contain the value; summaries use this order."""

    DICOM = "dicom"
    CAMERA_RAW = "camera_raw"
    UNREADABLE = "unreadable"
    DICOM_NO_IMAGE = "dicom_no_image"
    DICOM_OWN_RESULT = "dicom_own_result"
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
        """Whether the entry may be an image, for which a user expects a result."""
        return self in (LeftOutReason.DICOM, LeftOutReason.CAMERA_RAW, LeftOutReason.UNREADABLE)

    @property
    def words(self) -> str:
        """The reason in words, as in summaries."""
        return _WORDS.get(self) or self.value.replace("_", " ")


_WORDS = {
    LeftOutReason.DICOM: "DICOM",
    LeftOutReason.DICOM_NO_IMAGE: "DICOM without image",
    LeftOutReason.DICOM_OWN_RESULT: "results of edge-predict",
    LeftOutReason.APPLE_DOUBLE: "AppleDouble",
}


@dataclass(frozen=True)
class LeftOut:
    """A file, or a folder with its contents, that is left out.

    Attributes:
        path: path below the folder that was passed in, including that folder.
    """

    path: str
    reason: LeftOutReason


def expects_answer(left_out: Sequence[LeftOut]) -> bool:
    """Return whether any of these may be an image for which a user expects a result; the exit status is then 1."""
    return any(item.reason.expects_answer for item in left_out)


def summary(left_out: Sequence[LeftOut]) -> str:
    """Return the counts by reason, with names if there are few: ``left out: 2 DICOM (a.dcm, IM1), 1 hidden (.x).``."""
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
