"""Class :class:`Watch`: repeated scans of a folder for images that no longer change.

A scan costs little more than listing the folder. Processed files are recognised by name, size and time of last change
before anything else is computed.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Container
from pathlib import Path

from edge_runtime.errors import EdgeError
from edge_runtime.images.discovery import folder_error, reason_of_file
from edge_runtime.images.entries import reason_of_name
from edge_runtime.images.left_out import LeftOut, LeftOutReason
from edge_runtime.results.lines import FileStamp, ImageIdentity

_GONE = (errno.ENOENT, errno.ELOOP)
"""Errors of a file that was moved away since it was listed. A broken link is skipped until its target exists."""
Stamp = tuple[int, int]
"""Size and time of last change, as in :class:`FileStamp`. A tuple is faster to create and compare."""
Names = dict[str, Stamp]
"""The files of one directory by name."""
DicomReason = Callable[[str], LeftOutReason | None]
"""Why a DICOM file is left out; None for one to predict."""


class Watch:
    """Finds the images in a folder that are unchanged between two scans.

    A new image is returned by the second scan at the earliest, also if it was moved in by a rename. If a program pauses
    while it writes an image, for longer than the scan interval, the image is returned too early and fails as
    truncated. When the program continues, the stamp changes and the image is returned again.
    """

    def __init__(self, folder: Path) -> None:
        """Store the folder. Nothing is scanned yet.

        Args:
            folder: scanned with all its subfolders. The returned paths start with it.
        """
        self._folder = "" if folder == Path() else str(folder)
        self._settled: dict[str, Names] = {}
        self._before: dict[str, Names] = {}
        self.unreadable: tuple[EdgeError, ...] = ()
        self.left_out: dict[str, LeftOut] = {}
        self._expected: list[tuple[LeftOut, FileStamp]] = []
        self._dicom: DicomReason | None = None

    def take_dicom(self, reason: DicomReason | None) -> None:
        """Set which DICOM files count as images; None, as at the beginning, for none."""
        if reason is not self._dicom:
            self._dicom, self._settled = reason, {}

    def take_expected(self) -> list[tuple[LeftOut, FileStamp]]:
        """Return the files left out since the last call that a user may expect a result for, each with its stamp."""
        expected, self._expected = self._expected, []
        return expected

    def look(self, known: Container[ImageIdentity]) -> list[ImageIdentity]:
        """Scan the folder. Return the unchanged images that are not in ``known``, sorted by last change and name.

        Afterwards ``unreadable`` contains the errors of folders that could not be listed; a later scan may succeed.
        ``left_out`` contains the left-out files of all scans so far, by path.

        Args:
            known: processed images. An image in it must stay in it.
        """
        rest: list[ImageIdentity] = []
        errors: dict[str, EdgeError] = {}
        settled, before = self._settled, self._before
        self._settled, self._before = {}, {}
        places = [self._folder]
        while places:
            place = places.pop()
            quiet, loose = settled.get(place, {}), before.get(place, {})
            now_quiet: Names = {}
            now_loose: Names = {}
            try:
                found = _files(place, places, quiet, now_quiet)
            except OSError as error:
                errors[place] = folder_error(OSError(error.errno, error.strerror, place or "."))
                continue
            for name, stamp, mode in found:
                path = os.path.join(place, name)
                identity = ImageIdentity(path, FileStamp(*stamp))
                if identity in known or self._left_out(path, name, mode, stamp):
                    now_quiet[name] = stamp
                    continue
                now_loose[name] = stamp
                if loose.get(name) == stamp:
                    rest.append(identity)
            self._settled[place], self._before[place] = now_quiet, now_loose
        self.unreadable = tuple(errors.values())
        return sorted(rest, key=_arrival)

    def _left_out(self, path: str, name: str, mode: int, stamp: Stamp) -> bool:
        """Return whether a file is left out, and record it."""
        reason = self._reason(path, name, mode)
        if reason is None:
            self.left_out.pop(path, None)
            return False
        item = self.left_out[path] = LeftOut(path, reason)
        if reason.expects_answer:
            self._expected.append((item, FileStamp(*stamp)))
        return True

    def _reason(self, path: str, name: str, mode: int) -> LeftOutReason | None:
        """Return the reason why a file is left out; None for an image to process."""
        if reason := reason_of_name(name, is_folder=False):
            return reason
        if stat.S_ISDIR(mode):
            return LeftOutReason.LINKED_FOLDER
        if (reason := reason_of_file(path, mode, dicom=self._dicom is not None)) or self._dicom is None:
            return reason
        return self._dicom(path)


def _files(place: str, places: list[str], quiet: Names, now_quiet: Names) -> list[tuple[str, Stamp, int]]:
    """List one directory. Unchanged processed files are added to ``now_quiet``, and folders to ``places``.

    Links to files are followed; links to folders are not.

    Returns:
        Name, stamp and mode of each other file.
    """
    others = []
    with os.scandir(place or ".") as listed:
        for entry in listed:
            name = entry.name
            if entry.is_dir(follow_symlinks=False):
                if reason_of_name(name, is_folder=True) is None:
                    places.append(os.path.join(place, name))
                continue
            try:
                status = entry.stat()
            except OSError as error:
                if error.errno in _GONE or entry.is_symlink():
                    continue
                raise
            stamp = (status.st_size, status.st_mtime_ns)
            if quiet.get(name) == stamp:
                now_quiet[name] = stamp
            else:
                others.append((name, stamp, status.st_mode))
    return others


def stamp_of(path: str) -> FileStamp | None:
    """Return the stamp of a file; None if it does not exist."""
    try:
        return FileStamp.of(path)
    except OSError:
        return None


def _arrival(image: ImageIdentity) -> tuple[int, str]:
    return (image.file.modified_ns if image.file else 0, image.image)
