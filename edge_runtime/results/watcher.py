"""A folder that is looked at again and again for images that have come to rest.

A look costs little more than listing the folder: what needs no answer any more is known by name, size and time of last
change, directory by directory, before anything else is computed about it.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Container
from pathlib import Path

from edge_runtime.errors import EdgeError
from edge_runtime.images.discovery import folder_error, reason_of_file
from edge_runtime.images.entries import reason_of_name
from edge_runtime.images.left_out import LeftOut, LeftOutReason
from edge_runtime.results.lines import FileStamp, ImageIdentity

_GONE = (errno.ENOENT, errno.ELOOP)
"""Moved away since it was listed. A link that leads nowhere now is left until it leads somewhere."""
Stamp = tuple[int, int]
"""Size and time of last change, as in :class:`FileStamp`: a tuple is made and compared in a fraction of the time."""
Names = dict[str, Stamp]
"""The files of one directory by name."""


class Watch:
    """What two looks at a folder tell: a file that is the same in both is at rest.

    An image that was moved in by a rename is whole at once and is taken at the second look like any other. One
    whose writer pauses for longer than the time between two looks is taken too early, is answered as
    truncated, and is taken again when its writer has gone on, because its stamp is another then.
    """

    def __init__(self, folder: Path) -> None:
        """Look at nothing yet.

        Args:
            folder: looked at with everything below it; paths are named as they follow from it.
        """
        self._folder = "" if folder == Path() else str(folder)
        self._settled: dict[str, Names] = {}
        self._before: dict[str, Names] = {}
        self.unreadable: tuple[EdgeError, ...] = ()
        self.left_out: dict[str, LeftOut] = {}
        self._expected: list[tuple[LeftOut, FileStamp]] = []

    def take_expected(self) -> list[tuple[LeftOut, FileStamp]]:
        """Return what was left out since the last call and someone may expect an answer to, each with its stamp."""
        found, self._expected = self._expected, []
        return found

    def look(self, known: Container[ImageIdentity]) -> list[ImageIdentity]:
        """Return the images at rest that are not ``known``, in order of their last change, then their names.

        ``unreadable`` tells afterwards which folders could not be listed; a later look may succeed. ``left_out`` holds
        by path what all looks so far have met and do not answer.

        Args:
            known: what is in it once stays in it.
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
        """Tell whether a file is left out, and note it."""
        reason = _reason(path, name, mode)
        if reason is None:
            self.left_out.pop(path, None)
            return False
        item = self.left_out[path] = LeftOut(path, reason)
        if reason.expects_answer:
            self._expected.append((item, FileStamp(*stamp)))
        return True


def _reason(path: str, name: str, mode: int) -> LeftOutReason | None:
    """Return why a file, as it is now, is left out; None for one to answer."""
    if reason := reason_of_name(name, is_folder=False):
        return reason
    if stat.S_ISDIR(mode):
        return LeftOutReason.LINKED_FOLDER
    return reason_of_file(path, mode)


def _files(place: str, places: list[str], quiet: Names, now_quiet: Names) -> list[tuple[str, Stamp, int]]:
    """List one directory: settled files go into ``now_quiet``, folders onto ``places``, the others are returned.

    Links to files are taken, links to folders are not entered.

    Returns:
        Name, stamp and mode of each file that is new or changed.
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
    """Return the stamp of a file, None if it is gone."""
    try:
        return FileStamp.of(path)
    except OSError:
        return None


def _arrival(image: ImageIdentity) -> tuple[int, str]:
    return (image.file.modified_ns if image.file else 0, image.image)
