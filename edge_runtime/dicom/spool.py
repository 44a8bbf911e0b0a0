"""The receiver's spool: folders on disk that hold what was acknowledged until its results are accepted.

``incoming``
    received instances; each name appears when the content is on the disk, and only then is the instance acknowledged.
``outgoing``
    one folder for the results of each instance; it appears when all of them are on the disk. The instance leaves
    ``incoming`` after that, so a kill at any point repeats work and loses none.
``refused``
    instances that ended the process several times, and results that could not be made. Nothing is deleted unasked.

Names are numbers and hashes: nothing of a data set is in them. Results have UIDs that follow from their source, so what
is sent twice after a kill is one instance for its receiver.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import re
import shutil
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from edge_runtime.errors import UsageError
from edge_runtime.platform.atomic_files import sync_content, sync_names, write_whole

MOST_ATTEMPTS = 5
"""Starts of work on one instance that ended the process, before the instance is set aside."""

_TEMPORARY = ".part"
_NAME = re.compile(r"\d{20}-[0-9a-f]{32}\.dcm")


class SpoolFullError(Exception):
    """The spool has reached its limit, or the disk is full."""


@dataclass(frozen=True)
class SpoolLimits:
    """Limits of a spool.

    Attributes:
        most_bytes: bytes in all its folders.
        least_free: bytes that have to stay free on the disk.
    """

    most_bytes: int = 20 << 30
    least_free: int = 512 << 20


class Spool:
    """A spool that this process alone uses. All methods may be called from several threads."""

    def __init__(self, folder: Path, limits: SpoolLimits) -> None:
        """Create the folders, take the lock and remove what an interrupted write left.

        Raises:
            UsageError: another process uses the spool, or the folder cannot be written.
        """
        self._limits, self._lock = limits, threading.Lock()
        self._incoming, self._outgoing = folder / "incoming", folder / "outgoing"
        self._refused, self._attempts = folder / "refused", folder / "attempts"
        try:
            for each in (self._incoming, self._outgoing, self._refused, self._attempts):
                each.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._held = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            fcntl.flock(self._held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UsageError(
                f"{folder}: found another receiver at work, expected an unused spool. Stop it, or name another folder."
            ) from None
        except OSError as error:
            raise UsageError(f"{folder}: cannot be used as a spool ({error.strerror}). Correct --spool.") from None
        for each in (self._incoming, self._outgoing):
            for left in each.glob(f"*{_TEMPORARY}"):
                _remove(left)
        held = {path.stem for path in self.waiting()}
        for note in self._attempts.iterdir():  # a kill came after its instance was removed
            if note.name not in held:
                note.unlink()
        self._bytes = sum(size for each in (self._incoming, self._outgoing, self._refused) for size in _sizes(each))

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
        self._reserve(size)
        parts = list(content)
        digest = hashlib.sha256()
        for part in parts:
            digest.update(part)
        name = f"{time.time_ns():020}-{digest.hexdigest()[:32]}"
        try:
            write_whole(
                self._incoming / f"{name}.dcm",
                lambda path: _write(path, parts),
                part=self._incoming / f"{name}{_TEMPORARY}",
            )
        except OSError as error:
            self._release(size)
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise SpoolFullError from None
            raise

    def waiting(self) -> list[Path]:
        """Return the received instances without results, the oldest first."""
        return sorted(path for path in self._incoming.iterdir() if _NAME.fullmatch(path.name))

    def begin(self, instance: Path) -> bool:
        """Note that work on an instance begins. Return False if it ended the process too often: it was set aside."""
        note = self._attempts / instance.stem
        attempts = note.stat().st_size if note.exists() else 0
        if attempts >= MOST_ATTEMPTS:
            self.set_aside(instance)
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
            self._store(results)
        self._drop(instance)

    def _store(self, results: list[tuple[str, bytes]]) -> None:
        names = "\n".join(name for name, _ in results)
        name = hashlib.sha256(names.encode()).hexdigest()[:32]
        final, part = self._outgoing / name, self._outgoing / f"{name}{_TEMPORARY}"
        if final.exists():  # the same results are still to be sent
            return
        _remove(part)
        try:
            part.mkdir(mode=0o700)
            for each, content in results:
                path = part / f"{hashlib.sha256(each.encode()).hexdigest()[:32]}.dcm"
                path.write_bytes(content)
                sync_content(path)
            sync_names(part)
            part.rename(final)
            sync_names(self._outgoing)
        except BaseException:
            _remove(part)
            raise
        with self._lock:
            self._bytes += sum(len(content) for _, content in results)

    def fail(self, instance: Path) -> None:
        """Forget an attempt that ended without the process: the machine failed, and the instance is tried again."""
        (self._attempts / instance.stem).unlink(missing_ok=True)

    def set_aside(self, instance: Path) -> None:
        """Move an instance to ``refused``."""
        instance.rename(self._refused / instance.name)
        sync_names(self._refused)
        sync_names(self._incoming)
        self.fail(instance)

    def results(self) -> Iterator[Path]:
        """Yield the files of results that no receiver has accepted, those of one instance together."""
        folders = [each for each in self._outgoing.iterdir() if each.suffix != _TEMPORARY]
        for folder in sorted(folders, key=_age):
            with suppress(FileNotFoundError):
                yield from sorted(folder.iterdir())
                if not any(folder.iterdir()):  # a kill came before the empty folder was removed
                    folder.rmdir()

    def accepted(self, result: Path) -> None:
        """Remove a result that its receiver has accepted."""
        self._drop(result)
        with suppress(OSError):  # there are further results of the instance
            result.parent.rmdir()

    def counts(self) -> dict[str, int]:
        """Return the number of instances in each folder."""
        found = {"incoming": len(self.waiting()), "refused": sum(1 for _ in self._refused.iterdir())}
        return found | {"outgoing": sum(1 for _ in self._outgoing.iterdir())}

    def _drop(self, path: Path) -> None:
        size = path.stat().st_size
        path.unlink()
        sync_names(path.parent)
        self._release(size)
        (self._attempts / path.stem).unlink(missing_ok=True)

    def _reserve(self, size: int) -> None:
        with self._lock:
            free = shutil.disk_usage(self._incoming).free
            if self._bytes + size > self._limits.most_bytes or free - size < self._limits.least_free:
                raise SpoolFullError
            self._bytes += size

    def _release(self, size: int) -> None:
        with self._lock:
            self._bytes -= size


def _write(path: Path, parts: list[bytes | memoryview]) -> None:
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        for part in parts:
            file.write(part)


def _sizes(folder: Path) -> Iterator[int]:
    return (path.stat().st_size for path in folder.rglob("*") if path.is_file())


def _age(folder: Path) -> int:
    try:
        return folder.stat().st_mtime_ns
    except FileNotFoundError:
        return 0


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
