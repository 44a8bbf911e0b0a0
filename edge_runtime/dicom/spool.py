"""The receiver's spool: folders on disk that hold what was acknowledged until its results are accepted.

``incoming``
    received instances; each name appears when the content is on the disk, and only then is the instance acknowledged.
``marks``, ``unmarked``
    presentation states and reports with circles, and images that wait for one (:mod:`edge_runtime.dicom.mark_store`).
``outgoing``
    one folder for the results of each instance; it appears when all of them are on the disk. The instance leaves
    ``incoming`` after that, so a kill at any point repeats work and loses none.
``refused``
    instances that ended the process several times, and results that could not be made. Nothing is deleted unasked.

Names are numbers and hashes: nothing of a data set is in them. Results have UIDs that follow from their source, so what
is sent twice after a kill is one instance for its receiver.
"""

from __future__ import annotations

import enum
import errno
import fcntl
import hashlib
import os
import re
import time
from collections.abc import Iterable
from pathlib import Path

from edge_runtime.dicom.outbox import Outbox
from edge_runtime.dicom.room import Room, SpoolFullError, SpoolLimits
from edge_runtime.errors import UsageError
from edge_runtime.platform.atomic_files import sync_names, write_whole

MOST_ATTEMPTS = 5
"""Starts of work on one instance that ended the process, before the instance is set aside."""

_TEMPORARY = ".part"
_TIME_DIGITS = 20
_NAME = re.compile(rf"\d{{{_TIME_DIGITS}}}-[0-9a-f]{{32}}\.dcm")


class Place(enum.Enum):
    """A folder of received instances."""

    INCOMING = "incoming"
    MARKS = "marks"
    UNMARKED = "unmarked"
    REFUSED = "refused"


class Spool:
    """A spool that this process alone uses. All methods may be called from several threads."""

    def __init__(self, folder: Path, limits: SpoolLimits) -> None:
        """Create the folders, take the lock and remove what an interrupted write left.

        Raises:
            UsageError: another process uses the spool, or the folder cannot be written.
        """
        self._folders = {place: folder / place.value for place in Place}
        self._attempts, outgoing = folder / "attempts", folder / "outgoing"
        try:
            for each in (*self._folders.values(), self._attempts, outgoing):
                each.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._held = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            fcntl.flock(self._held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UsageError(
                f"{folder}: found another receiver at work, expected an unused spool. Stop it, or name another folder."
            ) from None
        except OSError as error:
            raise UsageError(f"{folder}: cannot be used as a spool ({error.strerror}). Correct --spool.") from None
        for left in self._folders[Place.INCOMING].glob(f"*{_TEMPORARY}"):
            left.unlink()
        held = {path.stem for path in self.waiting()}
        for note in self._attempts.iterdir():  # a kill came after its instance was removed
            if note.name not in held:
                note.unlink()
        self._room = Room((*self._folders.values(), outgoing), limits)
        self.outbox = Outbox(outgoing, self._room)

    def close(self) -> None:
        """Release the lock."""
        os.close(self._held)

    def add(self, content: Iterable[bytes | memoryview], size: int) -> None:
        """Store a received instance; when this returns, it survives a kill and a power cut.

        Args:
            content: the parts of the file.
            size: their bytes together.

        Raises:
            SpoolFullError: there is no room.
            OSError: the disk failed.
        """
        self._room.reserve(size)
        parts = list(content)
        digest = hashlib.sha256()
        for part in parts:
            digest.update(part)
        name = f"{time.time_ns():0{_TIME_DIGITS}}-{digest.hexdigest()[:32]}"
        incoming = self._folders[Place.INCOMING]
        try:
            write_whole(
                incoming / f"{name}.dcm", lambda path: _write(path, parts), part=incoming / f"{name}{_TEMPORARY}"
            )
        except OSError as error:
            self._room.release(size)
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise SpoolFullError from None
            raise

    def waiting(self, place: Place = Place.INCOMING) -> list[Path]:
        """Return the received instances without results, the oldest first."""
        return sorted(path for path in self._folders[place].iterdir() if _NAME.fullmatch(path.name))

    def begin(self, instance: Path) -> bool:
        """Note that work on an instance begins. Return False if it ended the process too often: it was set aside."""
        note = self._attempts / instance.stem
        attempts = note.stat().st_size if note.exists() else 0
        if attempts >= MOST_ATTEMPTS:
            self.move(instance, Place.REFUSED)
            return False
        with note.open("ab") as file:
            file.write(b".")
        return True

    def finish(self, instance: Path, results: Iterable[tuple[str, bytes]]) -> None:
        """Store the results of an instance and remove the instance.

        Args:
            instance: as :meth:`waiting` returns it.
            results: name of each result and the bytes of its file. Empty if there is nothing to send.

        Raises:
            OSError: the disk failed. The instance is still there.
        """
        results = list(results)
        if results:
            self.outbox.store(results)
        self.drop(instance)

    def fail(self, instance: Path) -> None:
        """Forget an attempt that ended without the process: the machine failed, and the instance is tried again."""
        (self._attempts / instance.stem).unlink(missing_ok=True)

    def move(self, instance: Path, place: Place) -> Path:
        """Move an instance to another folder, where it survives a kill, and return its new path."""
        moved = instance.rename(self._folders[place] / instance.name)
        sync_names(moved.parent)
        sync_names(instance.parent)
        self.fail(instance)
        return moved

    def drop(self, instance: Path) -> None:
        """Remove an instance."""
        size = instance.stat().st_size
        instance.unlink()
        sync_names(instance.parent)
        self._room.release(size)
        self.fail(instance)

    def age_s(self, instance: Path) -> float:
        """Return the time since an instance was received, in seconds, by the clock of the machine."""
        return age_s(instance)

    def counts(self) -> dict[str, int]:
        """Return the number of instances in each folder."""
        found = {place.value: len(self.waiting(place)) for place in Place if place is not Place.REFUSED}
        refused = sum(1 for _ in self._folders[Place.REFUSED].iterdir())
        return found | {"refused": refused, "outgoing": len(self.outbox)}


def age_s(instance: Path) -> float:
    """Return the time since an instance was received, in seconds, by the clock of the machine."""
    return time.time() - int(instance.name[:_TIME_DIGITS]) / 1e9


def _write(path: Path, parts: list[bytes | memoryview]) -> None:
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        for part in parts:
            file.write(part)
