"""DICOM studies: which objects hold no image, and the files of a zipped study. For models that accept DICOM alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

from edge_runtime.archive.record import ArchiveRecord, RecordKind
from edge_runtime.archive.sources.places import absolute, open_place, planned_stamp
from edge_runtime.dicom.parts import part_of
from edge_runtime.dicom.zips import StudyZip, entry_name
from edge_runtime.errors import DicomError
from edge_runtime.images.content import HEAD_BYTES, is_dicom, kind_of
from edge_runtime.images.entries import reason_of_content, reason_of_path
from edge_runtime.images.left_out import LeftOut, LeftOutReason

_OBJECTS = (LeftOutReason.DICOM_NO_IMAGE, LeftOutReason.DICOM_OWN_RESULT)


def reason_of_head(path: str, head: bytes, load: Callable[[], bytes], *, dicom: bool) -> LeftOutReason | None:
    """Return why a file is left out because of its first bytes; None for an image.

    Args:
        path: its path.
        head: its first bytes.
        load: returns all its bytes; called only for a DICOM object of a kind that this package makes.
        dicom: whether DICOM files count as images; those without an image and own results are left out all the same.
    """
    if reason := reason_of_content(path, kind_of(head), dicom=dicom):
        return reason
    return part_of(head, load).reason if dicom and is_dicom(head) else None


def zip_entries(source: str) -> Iterator[ArchiveRecord | LeftOut]:
    """Yield the images of a zipped study, sorted by name, and the other files as left out.

    A zip that cannot be read is a failure, as ``edge-predict`` reports it.

    Raises:
        ArchiveError: ``archive_source``: the file cannot be opened.
        MachineError: memory, descriptors or I/O failed.
    """
    images, left_out = 0, list[LeftOut]()
    with open_place(source) as file:
        stamp = planned_stamp(source)
        try:
            with StudyZip(file, source) as opened:
                for entry in opened.entries():
                    name = entry_name(source, entry)
                    head, load = opened.head(entry, HEAD_BYTES), partial(opened.read, entry)
                    reason = reason_of_path(entry) or reason_of_head(entry, head, load, dicom=True)
                    if reason is None:
                        images += 1
                        yield ArchiveRecord(name, RecordKind.ZIP, absolute(source), detail=entry, stamp=stamp)
                    else:
                        left_out.append(LeftOut(name, reason))
        except DicomError as error:
            images += 1
            yield ArchiveRecord(source, RecordKind.FAILURE, source, detail=error.message, code=error.code)
    if not images and not any(each.reason in _OBJECTS for each in left_out):
        yield without_images(source)
    yield from left_out


def without_images(folder: str) -> ArchiveRecord:
    """Return the failure of a folder or zip without images, as ``edge-predict`` reports it."""
    message = (
        f"{folder}: found a folder without images, expected PNG, JPEG, TIFF, BMP, PNM or WebP files (by content). "
        "Check the folder."
    )
    return ArchiveRecord(folder, RecordKind.FAILURE, folder, detail=message, code="folder_without_images")
