"""A folder that is looked at again and again for pictures that have come to rest."""

from __future__ import annotations

from collections.abc import Container
from pathlib import Path

from edge_runtime.discovery import Memory, folder_error, look_into
from edge_runtime.errors import ImageUnreadableError
from edge_runtime.left_out import LeftOut
from edge_runtime.results.lines import FileStamp, Identity


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
        self._memory = Memory()
        self.unreadable: tuple[ImageUnreadableError, ...] = ()
        self.left_out: tuple[LeftOut, ...] = ()

    def look(self, known: Container[Identity]) -> list[Identity]:
        """Return the pictures at rest that are not ``known``, in order of their last change, then their names.

        ``unreadable`` tells afterwards which folders could not be listed; a later look may succeed. ``left_out`` tells
        what the folder holds and is not answered.
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
        found = look_into(self._folder, self._memory)
        self.unreadable = tuple(map(folder_error, found.unreadable))
        self.left_out = found.left_out
        return {
            image.path: FileStamp(image.size_bytes, image.modified_ns)
            for image in found.images
            if image.size_bytes is not None and image.modified_ns is not None  # a link to nothing is waited for
        }


def stamp_of(path: str) -> FileStamp | None:
    """Return the stamp of a file, None if it is gone."""
    try:
        return FileStamp.of(path)
    except OSError:
        return None


def _arrival(picture: Identity) -> tuple[int, str]:
    return (picture.file.modified_ns if picture.file else 0, picture.image)
