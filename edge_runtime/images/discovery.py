"""Find the images in a folder. Prediction, ``--output``, ``--watch``, calibration and parity use the same walk.

Every entry is either an image to predict or is left out with a reason. The first bytes of a file determine its kind. A
file with an image extension counts as an image whatever it contains: its user expects a result or an error.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edge_runtime.errors import ImageUnreadableError, MachineError
from edge_runtime.images.content import HEAD_BYTES, is_dicom, kind_of
from edge_runtime.images.entries import has_image_suffix, reason_of_content, reason_of_name, unless_image
from edge_runtime.images.left_out import LeftOut, LeftOutReason
from edge_runtime.platform.machine_faults import machine_error

_READ = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY  # does not block if the file has become a pipe


@dataclass(frozen=True, slots=True)
class ImageFile:
    """An image file to predict.

    Attributes:
        path: path below the folder that was passed in, including that folder.
        size_bytes, modified_ns: size and modification time; None if the file is missing or is not a regular file.
    """

    path: str
    size_bytes: int | None = None
    modified_ns: int | None = None


@dataclass(frozen=True)
class FolderContents:
    """The contents of a folder, sorted by name.

    Attributes:
        images: files to predict.
        left_out: files and folders that are left out, with the reason.
        unreadable: an error for each folder that cannot be listed, with its path as ``filename``; see
            :func:`folder_error`.
    """

    images: tuple[ImageFile, ...]
    left_out: tuple[LeftOut, ...]
    unreadable: tuple[OSError, ...]


def look_into(folder: str | os.PathLike[str], *, dicom: bool = False) -> FolderContents:
    """List a folder and its subfolders.

    Args:
        folder: path of the folder.
        dicom: whether DICOM files count as images. Otherwise they are left out.

    Links to files are followed; links to folders are not. A hidden, thumbnail or linked folder is reported as one
    entry, without its contents. ``folder`` itself is always entered, whatever its name.
    """
    images: list[ImageFile] = []
    left_out: list[LeftOut] = []
    unreadable: dict[str, OSError] = {}
    for entry in walk(folder, dicom=dicom):
        if isinstance(entry, ImageFile):
            images.append(entry)
        elif isinstance(entry, LeftOut):
            left_out.append(entry)
        else:
            unreadable[str(entry.filename)] = entry
    return FolderContents(tuple(images), tuple(left_out), tuple(unreadable.values()))


def walk(folder: str | os.PathLike[str], *, dicom: bool = False) -> Iterator[ImageFile | LeftOut | OSError]:
    """Yield what :func:`look_into` collects, one entry at a time; memory grows with the largest folder alone.

    The errors of a folder that cannot be listed may be yielded more than once.
    """
    return _Walk(dicom).through(str(Path(folder)))


def reason_of_file(path: str, mode: int, *, dicom: bool = False) -> LeftOutReason | None:
    """Return why a file is left out because of its kind or content; None for a file to predict.

    A file that cannot be read because of a machine fault is not left out: the reader reports the fault, and the file
    can be tried again.

    Args:
        path: any path except a folder's.
        mode: the file's ``st_mode``.
        dicom: whether DICOM files count as images.
    """
    if not stat.S_ISREG(mode):
        return unless_image(path, LeftOutReason.SPECIAL_FILE)
    try:
        return reason_of_content(path, kind_of(head_of(path)), dicom=dicom)
    except OSError as error:
        return None if machine_error(error, path) else unless_image(path, LeftOutReason.UNREADABLE)


def folder_error(error: OSError) -> ImageUnreadableError | MachineError:
    """Return the error for a folder that cannot be listed: a MachineError if the machine is at fault."""
    if fault := machine_error(error, str(error.filename)):
        return fault
    return ImageUnreadableError(
        f"{error.filename}: found a folder that cannot be listed ({error.strerror}), expected a folder of images. "
        "Mount it again or change its permissions.",
        code="folder_unreadable",
    )


class _Walk:
    """One walk through a folder. ``_found`` holds what was found since the last entry was yielded."""

    def __init__(self, dicom: bool) -> None:
        self._dicom = dicom
        self._found: list[ImageFile | LeftOut | OSError] = []

    def through(self, root: str) -> Iterator[ImageFile | LeftOut | OSError]:
        """Visit all entries, ordered by the parts of their paths. Iterative, so any depth works."""
        pending = [(root, self._entries(root))]
        above = [_identity(root)]
        while pending:
            yield from self._found
            self._found.clear()
            folder, entries = pending[-1]
            entry = next(entries, None)
            if entry is None:
                pending.pop()
                above.pop()
                continue
            path = entry.name if folder == os.curdir else os.path.join(folder, entry.name)
            if not self._is_folder(entry, path, folder):
                continue
            identity = _identity(path)
            if identity is not None and identity in above:  # a mounted folder that contains itself
                self._leave(path, LeftOutReason.LOOP)
            else:
                pending.append((path, self._entries(path)))
                above.append(identity)
        yield from self._found

    def _entries(self, folder: str) -> Iterator[os.DirEntry[str]]:
        try:
            with os.scandir(folder) as listed:
                return _taken(sorted(listed, key=lambda entry: entry.name, reverse=True))
        except OSError as error:
            self._cannot_list(folder, error)
            return iter(())

    def _is_folder(self, entry: os.DirEntry[str], path: str, folder: str) -> bool:
        """Return whether the entry is a folder to enter; record any other entry."""
        try:
            is_folder = entry.is_dir(follow_symlinks=False)
            reason = reason_of_name(entry.name, is_folder)
            if reason is not None:
                self._leave(path, reason)
            elif not is_folder:
                self._record(path, entry.stat(), linked_from=folder if entry.is_symlink() else None)
        except FileNotFoundError:
            if entry.is_symlink() or has_image_suffix(path):  # any other entry was deleted during the walk
                self._without_content(path, LeftOutReason.BROKEN_LINK)
            return False
        except OSError as error:
            if error.errno == errno.ELOOP:
                self._without_content(path, LeftOutReason.LOOP)
            elif entry.is_symlink():
                self._without_content(path, LeftOutReason.UNREADABLE)
            else:
                self._cannot_list(folder, error)  # the folder can be listed but not entered
            return False
        return is_folder and reason is None

    def _record(self, path: str, status: os.stat_result, linked_from: str | None) -> None:
        if stat.S_ISDIR(status.st_mode):
            self._leave(
                path, LeftOutReason.LOOP if _is_above(path, linked_from or path) else LeftOutReason.LINKED_FOLDER
            )
            return
        reason = reason_of_file(path, status.st_mode, dicom=self._dicom)
        if reason is not None:
            self._leave(path, reason)
        elif stat.S_ISREG(status.st_mode):
            self._found.append(ImageFile(path, status.st_size, status.st_mtime_ns))
        else:
            self._found.append(ImageFile(path))

    def _without_content(self, path: str, reason: LeftOutReason) -> None:
        """Record an entry that cannot be read: as an image, whose error is reported later, or as left out."""
        if unless_image(path, reason) is None:
            self._found.append(ImageFile(path))
        else:
            self._leave(path, reason)

    def _leave(self, path: str, reason: LeftOutReason) -> None:
        self._found.append(LeftOut(path, reason))

    def _cannot_list(self, folder: str, error: OSError) -> None:
        self._found.append(OSError(error.errno, error.strerror, folder))


def _taken(entries: list[os.DirEntry[str]]) -> Iterator[os.DirEntry[str]]:
    """Yield entries from the last one on, and drop each: an entry keeps its status, half a kilobyte."""
    while entries:
        yield entries.pop()


def head_of(path: str) -> bytes:
    """Return the first bytes of a file, at most HEAD_BYTES.

    Raises:
        OSError: the file cannot be read.
    """
    descriptor = os.open(path, _READ)
    try:
        return os.read(descriptor, HEAD_BYTES)
    finally:
        os.close(descriptor)


def may_be_dicom(source: object) -> bool:
    """Return whether a source is a file or bytes that begin as DICOM, or no file, bytes or array at all.

    A file that cannot be read is none; the reader says why.
    """
    if isinstance(source, bytes):
        return is_dicom(source[:HEAD_BYTES])
    if isinstance(source, str | os.PathLike):
        try:
            return is_dicom(head_of(os.fspath(source)))
        except (OSError, ValueError, TypeError):
            return False
    return not isinstance(source, np.ndarray)


def _identity(folder: str) -> tuple[int, int] | None:
    """Return device and inode number of a folder, which are the same under every path; None if it is unreadable."""
    try:
        status = os.stat(folder)
    except OSError:  # reported when the folder is listed
        return None
    return status.st_dev, status.st_ino


def _is_above(link: str, folder: str) -> bool:
    """Return whether a link points to ``folder`` or to a parent of it; to follow it would never end."""
    target, here = os.path.realpath(link), os.path.realpath(folder)
    return here == target or here.startswith(target.rstrip(os.sep) + os.sep)
