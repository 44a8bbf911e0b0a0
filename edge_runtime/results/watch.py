"""A folder that is looked at again and again for pictures that have come to rest."""

from __future__ import annotations

from collections.abc import Container
from pathlib import Path

from edge_runtime.errors import ImageUnreadableError
from edge_runtime.folders import folder_error, pictures_below
from edge_runtime.results.lines import FileStamp, Identity

_UNFINISHED = (".", "~")
"""First characters of hidden and temporary files and folders: rsync, editors and browsers write under such names."""


class Watch:
    """What two looks at a folder tell: a file that is the same in both is at rest.

    A picture that was moved in by a rename is whole at once and is taken at the second look like any other. One
    whose writer pauses for longer than the time between two looks is taken too early, is answered as
    truncated, and is taken again when its writer has gone on, because its stamp is another then.
    """

    def __init__(self, folder: Path) -> None:
        """Look at nothing yet.

        Args:
            folder: looked at with everything below it; paths are named as they follow from it.
        """
        self._folder = folder
        self._before: dict[str, FileStamp] = {}
        self.unreadable: tuple[ImageUnreadableError, ...] = ()

    def look(self, known: Container[Identity]) -> list[Identity]:
        """Return the pictures at rest that are not ``known``, in order of their last change, then their names.

        ``unreadable`` tells afterwards which folders could not be listed; a later look may succeed.
        """
        found = self._stamps()
        rest = [
            Identity(path, stamp)
            for path, stamp in found.items()
            if self._before.get(path) == stamp and Identity(path, stamp) not in known
        ]
        self._before = found
        return sorted(rest, key=_arrival)

    def _stamps(self) -> dict[str, FileStamp]:
        errors: list[OSError] = []
        stamps: dict[str, FileStamp] = {}
        for path in pictures_below(self._folder, errors.append):
            if any(part.startswith(_UNFINISHED) for part in path.relative_to(self._folder).parts):
                continue
            try:
                stamps[str(path)] = FileStamp.of(path)
            except FileNotFoundError:
                continue  # moved away meanwhile, or a link to nothing
            except OSError as error:  # a folder that can be listed and not entered
                errors.append(OSError(error.errno, error.strerror, str(path.parent)))
        self.unreadable = tuple({str(error.filename): folder_error(error) for error in errors}.values())
        return stamps


def stamp_of(path: str) -> FileStamp | None:
    """Return the stamp of a file, None if it is gone."""
    try:
        return FileStamp.of(path)
    except OSError:
        return None


def _arrival(picture: Identity) -> tuple[int, str]:
    return (picture.file.modified_ns if picture.file else 0, picture.image)
