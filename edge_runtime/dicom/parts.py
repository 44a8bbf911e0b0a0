"""What a file of a study is for, by the SOP class in its meta header."""

from __future__ import annotations

import enum
from collections.abc import Callable
from typing import Any

from edge_runtime.dicom.dataset import silent
from edge_runtime.dicom.marks import may_mark
from edge_runtime.dicom.meta_header import class_in_meta
from edge_runtime.dicom.objects import DIRECTORY
from edge_runtime.dicom.own_results import COMPREHENSIVE_3D_SR, SECONDARY_CAPTURE, own_result
from edge_runtime.dicom.study import mark_name, parsed_mark
from edge_runtime.errors import EdgeError
from edge_runtime.images.content import HEAD_BYTES, is_dicom
from edge_runtime.images.discovery import head_of
from edge_runtime.images.left_out import LeftOutReason

_NO_IMAGE = (
    DIRECTORY,
    "1.2.840.10008.5.1.4.1.1.66",
    *(f"1.2.840.10008.5.1.4.1.1.{kind}." for kind in ("9", "66", "104")),
    *(f"1.2.840.10008.5.1.4.1.1.481.{kind}" for kind in ("3", "4", "5", "6", "7", "8", "9")),
)


class PartOfStudy(enum.Enum):
    """What a file of a study is for."""

    IMAGE = enum.auto()  # to classify, or to refuse by name
    MARK = enum.auto()  # a presentation state or report, which may mark a region
    NO_IMAGE = enum.auto()  # the directory of a medium, a document, a waveform, a plan
    OWN_RESULT = enum.auto()  # a report or heatmap of this package

    @property
    def reason(self) -> LeftOutReason | None:
        """Why such a file of a folder is left out where marks are not needed; None for an image."""
        if self is PartOfStudy.IMAGE:
            return None
        own = self is PartOfStudy.OWN_RESULT
        return LeftOutReason.DICOM_OWN_RESULT if own else LeftOutReason.DICOM_NO_IMAGE


def part_of(head: bytes, load: Callable[[], Any]) -> PartOfStudy:
    """Return what a file is for.

    Args:
        head: its first bytes.
        load: returns the file, as in :func:`edge_runtime.dicom.study.parsed_mark`. It is called only for a file of a
            kind that this package makes. A file that cannot be read counts as no result of this package.
    """
    found = class_in_meta(head)
    if found in (SECONDARY_CAPTURE, COMPREHENSIVE_3D_SR) and _is_own(load):
        return PartOfStudy.OWN_RESULT
    if may_mark(found):
        return PartOfStudy.MARK
    is_none = any(found == each or (each.endswith(".") and found.startswith(each)) for each in _NO_IMAGE)
    return PartOfStudy.NO_IMAGE if is_none else PartOfStudy.IMAGE


def reason_of_object(path: str) -> LeftOutReason | None:
    """Return why a file of a folder is left out as a DICOM object; None for an image, and for what is no DICOM."""
    try:
        head = head_of(path)
    except OSError:  # whoever reads the image says why
        return None
    return part_of(head, lambda: path).reason if is_dicom(head[:HEAD_BYTES]) else None


def _is_own(load: Callable[[], Any]) -> bool:
    try:
        source = load()
        dataset = parsed_mark(source)
        with silent(mark_name(source)):
            return own_result(dataset) is not None
    except EdgeError:
        return False
