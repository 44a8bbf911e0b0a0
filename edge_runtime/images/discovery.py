"""What a folder holds: one walk for a run, for ``--output``, for ``--watch``, for calibration and for parity.

Every entry is an image to answer or is left out with its reason. What it is, its first bytes tell. A file with an
image's ending is an image whatever it holds: an answer or a refusal by name is expected for it.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from edge_runtime.errors import ImageUnreadableError, MachineError
from edge_runtime.images.content import HEAD_BYTES, kind_of
from edge_runtime.images.entries import has_image_suffix, reason_of_content, reason_of_name, unless_image
from edge_runtime.images.left_out import LeftOut, LeftOutReason
from edge_runtime.platform.machine_faults import machine_error

_READ = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY  # what became a pipe meanwhile is not waited for


@dataclass(frozen=True, slots=True)
class ImageFile:
    """A file to answer.

    Attributes:
        path: as it follows from the folder that was given.
        size_bytes, modified_ns: of the file that was looked at; None where nothing stands there, or no regular file.
    """

    path: str
    size_bytes: int | None = None
    modified_ns: int | None = None


@dataclass(frozen=True)
class FolderContents:
    """What a folder holds, in order of the names.

    Attributes:
        unreadable: of every folder that cannot be listed, with its path as ``filename``; see :func:`folder_error`.
    """

    images: tuple[ImageFile, ...]
    left_out: tuple[LeftOut, ...]
    unreadable: tuple[OSError, ...]


def look_into(folder: str | os.PathLike[str]) -> FolderContents:
    """List a folder and what is below it.

    Links to files are followed, links to folders are not entered. Of a hidden folder, a thumbnail folder or a linked
    one the folder alone is told, not what is in it. The folder itself is entered whatever it is called.
    """
    walk = _Walk()
    walk.through(str(Path(folder)))
    unreadable = {str(error.filename): error for error in walk.unreadable}
    return FolderContents(tuple(walk.images), tuple(walk.left_out), tuple(unreadable.values()))


def reason_of_file(path: str, mode: int) -> LeftOutReason | None:
    """Return why what stands at ``path``, no folder, is left out whatever it is called; None for a file to answer.

    One that the machine fails at is to be answered: the reader tells of the fault, and it is asked again.

    Args:
        mode: its ``st_mode``.
    """
    if not stat.S_ISREG(mode):
        return unless_image(path, LeftOutReason.SPECIAL_FILE)
    try:
        return reason_of_content(path, kind_of(head_of(path)))
    except OSError as error:
        return None if machine_error(error, path) else unless_image(path, LeftOutReason.UNREADABLE)


def folder_error(error: OSError) -> ImageUnreadableError | MachineError:
    """Say which folder cannot be listed and why, and whether the machine is at fault."""
    if fault := machine_error(error, str(error.filename)):
        return fault
    return ImageUnreadableError(
        f"{error.filename}: found a folder that cannot be listed ({error.strerror}), expected its images. "
        "Mount it again or change its permissions.",
        code="folder_unreadable",
    )


class _Walk:
    """One walk; collects what :class:`FolderContents` holds."""

    def __init__(self) -> None:
        self.images: list[ImageFile] = []
        self.left_out: list[LeftOut] = []
        self.unreadable: list[OSError] = []

    def through(self, root: str) -> None:
        """Visit everything, in the order of paths compared part by part; without recursion, however deep it is."""
        pending = [(root, self._entries(root))]
        above = [_identity(root)]
        while pending:
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
            if identity is not None and identity in above:  # a mounted folder that holds itself
                self._leave(path, LeftOutReason.LOOP)
            else:
                pending.append((path, self._entries(path)))
                above.append(identity)

    def _entries(self, folder: str) -> Iterator[os.DirEntry[str]]:
        try:
            with os.scandir(folder) as listed:
                return iter(sorted(listed, key=lambda entry: entry.name))
        except OSError as error:
            self._cannot_list(folder, error)
            return iter(())

    def _is_folder(self, entry: os.DirEntry[str], path: str, folder: str) -> bool:
        """Tell whether this is a folder to enter; sort in what is none."""
        try:
            is_folder = entry.is_dir(follow_symlinks=False)
            reason = reason_of_name(entry.name, is_folder)
            if reason is not None:
                self._leave(path, reason)
            elif not is_folder:
                self._sort_in(path, entry.stat(), linked_from=folder if entry.is_symlink() else None)
        except FileNotFoundError:
            if entry.is_symlink() or has_image_suffix(path):  # all else has gone meanwhile
                self._without_content(path, LeftOutReason.BROKEN_LINK)
            return False
        except OSError as error:
            if error.errno == errno.ELOOP:
                self._without_content(path, LeftOutReason.LOOP)
            elif entry.is_symlink():
                self._without_content(path, LeftOutReason.UNREADABLE)
            else:
                self._cannot_list(folder, error)  # it can be listed and not entered
            return False
        return is_folder and reason is None

    def _sort_in(self, path: str, status: os.stat_result, linked_from: str | None) -> None:
        if stat.S_ISDIR(status.st_mode):
            self._leave(
                path, LeftOutReason.LOOP if _is_above(path, linked_from or path) else LeftOutReason.LINKED_FOLDER
            )
            return
        reason = reason_of_file(path, status.st_mode)
        if reason is not None:
            self._leave(path, reason)
        elif stat.S_ISREG(status.st_mode):
            self.images.append(ImageFile(path, status.st_size, status.st_mtime_ns))
        else:
            self.images.append(ImageFile(path))

    def _without_content(self, path: str, reason: LeftOutReason) -> None:
        """An image's ending makes it one that fails by name; else it is left out."""
        if unless_image(path, reason) is None:
            self.images.append(ImageFile(path))
        else:
            self._leave(path, reason)

    def _leave(self, path: str, reason: LeftOutReason) -> None:
        self.left_out.append(LeftOut(path, reason))

    def _cannot_list(self, folder: str, error: OSError) -> None:
        self.unreadable.append(OSError(error.errno, error.strerror, folder))


def head_of(path: str) -> bytes:
    """Return a file's first bytes, at most HEAD_BYTES; OSError if it cannot be read."""
    descriptor = os.open(path, _READ)
    try:
        return os.read(descriptor, HEAD_BYTES)
    finally:
        os.close(descriptor)


def _identity(folder: str) -> tuple[int, int] | None:
    """Return device and number of a folder, by which it is known under every path."""
    try:
        status = os.stat(folder)
    except OSError:  # told where it is listed
        return None
    return status.st_dev, status.st_ino


def _is_above(link: str, folder: str) -> bool:
    """Tell whether a link leads to a folder in which ``folder`` lies: to enter it would never end."""
    target, here = os.path.realpath(link), os.path.realpath(folder)
    return here == target or here.startswith(target.rstrip(os.sep) + os.sep)
