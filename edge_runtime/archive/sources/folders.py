"""Folders: local ones as ``edge-predict FOLDER`` walks them, and those of object stores by the same rules."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

from edge_runtime.archive.place_errors import source_error
from edge_runtime.archive.record import ArchiveRecord, RecordKind
from edge_runtime.archive.sources.places import absolute, stamp_of
from edge_runtime.archive.sources.studies import reason_of_head, without_images
from edge_runtime.dicom.parts import reason_of_object
from edge_runtime.errors import MachineError
from edge_runtime.images.content import HEAD_BYTES
from edge_runtime.images.discovery import ImageFile, folder_error, walk
from edge_runtime.images.entries import has_image_suffix, reason_of_name
from edge_runtime.images.left_out import LeftOut


def local_folder(folder: str, *, dicom: bool = False) -> Iterator[ArchiveRecord | LeftOut]:
    """Yield the files of a local folder, then a failure for each folder in it that cannot be listed.

    Args:
        folder: path of the folder.
        dicom: whether DICOM files count as images; those without an image are left out all the same.

    Raises:
        MachineError: memory, descriptors or I/O failed while a folder was listed.
    """
    images, unreadable = 0, {}
    for entry in walk(folder, dicom=dicom):
        if isinstance(entry, ImageFile):
            images += 1
            yield _file(entry.path, dicom)
        elif isinstance(entry, LeftOut):
            yield entry
        else:
            unreadable[str(entry.filename)] = folder_error(entry)
    for path, error in unreadable.items():
        if isinstance(error, MachineError):
            raise error
        yield ArchiveRecord(path, RecordKind.FAILURE, path, detail=error.message, code=error.code)
    if not images and not unreadable:
        yield without_images(folder)


def _file(path: str, dicom: bool) -> ArchiveRecord | LeftOut:
    reason = reason_of_object(path) if dicom else None
    if reason is not None:
        return LeftOut(path, reason)
    return ArchiveRecord(path, RecordKind.FILE, absolute(path))


def remote_folder(system: Any, path: str, name: str, *, dicom: bool = False) -> Iterator[ArchiveRecord | LeftOut]:
    """Yield the files below a path of an fsspec file system, sorted as local ones.

    The first bytes of a file are read only if its name has no image extension, since each read is a request.

    Args:
        name: the URL as it was given; names of images begin with it.
        dicom: as in :func:`local_folder`.

    Raises:
        ArchiveError: ``archive_source``: a folder cannot be listed.
    """
    found = False
    for entry in _walk(system, path, name.rstrip("/"), dicom):
        found = found or isinstance(entry, ArchiveRecord)
        yield entry
    if not found:
        yield without_images(name)


def _walk(system: Any, path: str, name: str, dicom: bool) -> Iterator[ArchiveRecord | LeftOut]:
    try:
        below = ((entry["name"].rstrip("/"), entry) for entry in system.ls(path, detail=True))
        entries = {key.rpartition("/")[2]: entry for key, entry in below if key != path.rstrip("/")}
    except Exception as error:  # each file system of fsspec has errors of its own
        raise source_error(error, name) from None
    for base in sorted(entries):
        inside, shown = f"{path.rstrip('/')}/{base}", f"{name}/{base}"
        is_folder = entries[base]["type"] == "directory"
        reason = reason_of_name(base, is_folder)
        if reason is None and not is_folder and not has_image_suffix(base):
            head, load = _bytes(system, inside, shown, HEAD_BYTES), partial(_bytes, system, inside, shown)
            reason = reason_of_head(base, head, load, dicom=dicom)
        if reason is not None:
            yield LeftOut(shown, reason)
        elif is_folder:
            yield from _walk(system, inside, shown, dicom)
        else:
            yield ArchiveRecord(shown, RecordKind.FILE, shown, stamp=stamp_of(entries[base]))


def _bytes(system: Any, path: str, name: str, most: int | None = None) -> bytes:
    """Return the first ``most`` bytes of a file, or all."""
    try:
        return bytes(system.cat_file(path, end=most))
    except Exception as error:  # each file system of fsspec has errors of its own
        raise source_error(error, name) from None
