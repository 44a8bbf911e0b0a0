"""An append-only file, locked by one process, that keeps all appended data after a kill or a power cut.

Each append is written at once and flushed to disk (fdatasync) before the call returns. A killed process loses nothing;
a power cut loses at most the data being written. If an append fails, its partial data is removed.
"""

from __future__ import annotations

import fcntl
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from edge_runtime.platform.atomic_files import sync_names, write_whole

_sync = getattr(os, "fdatasync", os.fsync)  # macOS has no fdatasync


class InUseError(OSError):
    """Another process has locked the file."""


class Durable:
    """The opened file. Every method raises OSError if the disk fails."""

    def __init__(self, path: Path, *, existing: bool) -> None:
        """Open or create the file, and lock it.

        Args:
            existing: whether an existing file may be opened.

        Raises:
            FileExistsError: the file exists and ``existing`` is false.
            InUseError: another process has locked the file.
            OSError: the file cannot be opened, or is not a regular file.
        """
        self._path = path
        fresh = not path.exists()
        flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | (0 if existing else os.O_EXCL)
        self._file = os.open(path, flags, 0o644)
        try:
            _lock(self._file, path)
            self.size = os.fstat(self._file).st_size
            if fresh:
                sync_names(path.parent)
        except BaseException:
            self.close()
            raise

    def append(self, data: bytes, *, sync: bool = True) -> None:
        """Write ``data`` and flush it to disk. If that fails, restore the previous size of the file.

        Args:
            sync: flush to disk. Without it the data survives a killed process, but survives a power cut only after
                :meth:`sync`.
        """
        self.size = os.fstat(self._file).st_size  # another program may have truncated it (logrotate's copytruncate)
        try:
            _write(self._file, data)
            if sync:
                self.sync()
        except OSError:
            with suppress(OSError):  # if this fails, the file ends with an incomplete line
                self.cut(self.size)
            raise
        self.size += len(data)

    def sync(self) -> None:
        """Flush all appended data to disk."""
        _sync(self._file)

    def shrank(self) -> bool:
        """Return whether another program truncated the file since the last call or append."""
        size, self.size = self.size, os.fstat(self._file).st_size
        return self.size < size

    def is_at(self, path: Path) -> bool:
        """Return whether this is still the file at ``path``. It may have been moved or removed."""
        try:
            return os.path.samestat(os.fstat(self._file), os.stat(path))
        except FileNotFoundError:
            return False

    def cut(self, size: int) -> None:
        """Truncate the file to ``size`` bytes."""
        os.ftruncate(self._file, size)
        self.size = size

    def reader(self) -> BinaryIO:
        """Return a reader that starts at the beginning of the file."""
        file = os.fdopen(os.dup(self._file), "rb")
        file.seek(0)
        return file

    def replace(self, pieces: Callable[[], Iterator[bytes]]) -> None:
        """Replace the content atomically. After any failure, the file has the complete old or new content."""
        new = -1

        def fill(part: Path) -> None:  # lock the new file before the rename, so that no other process can lock it
            nonlocal new
            new = os.open(part, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND | os.O_CLOEXEC, 0o600)
            fcntl.flock(new, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.fchmod(new, stat.S_IMODE(os.fstat(self._file).st_mode))
            for piece in pieces():
                _write(new, piece)

        try:
            write_whole(self._path, fill, part=self._path.with_name(f".{self._path.name}.new"))
        except BaseException:
            if new >= 0:
                os.close(new)
            raise
        os.close(self._file)
        self._file, self.size = new, os.fstat(new).st_size

    def close(self) -> None:
        """Close the file and release its lock."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1


def _lock(file: int, path: Path) -> None:
    """Lock the file, and check that it is still the one at ``path``: another process may have replaced it."""
    if not stat.S_ISREG(os.fstat(file).st_mode):
        raise OSError(0, "a device, pipe or socket")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise InUseError from None
    if not os.path.samestat(os.fstat(file), os.stat(path)):
        raise InUseError


def _write(file: int, data: bytes) -> None:
    """Write all of ``data``. One write may take only a part of it, for example on a nearly full disk."""
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(file, rest) :]
