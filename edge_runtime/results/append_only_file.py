"""A file that only grows, held by one process, of which nothing that was appended is lost.

Each piece is written at once and handed to the disk (fdatasync) before the call returns: a killed process loses
nothing, a power cut at most the piece that was being written. A piece that did not fit is taken away again.
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
    """Another process holds the file."""


class Durable:
    """The opened file. Every method raises OSError where the disk does."""

    def __init__(self, path: Path, *, existing: bool) -> None:
        """Open or make the file, and lock it.

        Args:
            existing: whether a file that is there may be opened.

        Raises:
            FileExistsError: it is there and ``existing`` is false.
            InUseError: another process holds it.
            OSError: it cannot be opened, or is no regular file.
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
        """Write ``data`` and hand it to the disk; if that fails, the file ends where it ended before.

        Args:
            sync: without it the system alone has the data when this returns: a killed process loses nothing, a power
                cut may, until :meth:`sync`.
        """
        self.size = os.fstat(self._file).st_size  # somebody may have cut it, as logrotate's copytruncate does
        try:
            _write(self._file, data)
            if sync:
                self.sync()
        except OSError:
            with suppress(OSError):  # the next one to open the file sees a torn piece then
                self.cut(self.size)
            raise
        self.size += len(data)

    def sync(self) -> None:
        """Hand everything that was appended to the disk."""
        _sync(self._file)

    def shrank(self) -> bool:
        """Tell whether somebody has cut the file since the last call or piece; what follows goes to its new end."""
        size, self.size = self.size, os.fstat(self._file).st_size
        return self.size < size

    def is_at(self, path: Path) -> bool:
        """Tell whether this still is the file at ``path``; it may have been moved or removed."""
        try:
            return os.path.samestat(os.fstat(self._file), os.stat(path))
        except FileNotFoundError:
            return False

    def cut(self, size: int) -> None:
        """Let the file end at ``size``."""
        os.ftruncate(self._file, size)
        self.size = size

    def reader(self) -> BinaryIO:
        """Return the content from the start, for reading."""
        file = os.fdopen(os.dup(self._file), "rb")
        file.seek(0)
        return file

    def replace(self, pieces: Callable[[], Iterator[bytes]]) -> None:
        """Replace the content as a whole: whatever happens, the file is the old one or the new one."""
        new = -1

        def fill(part: Path) -> None:  # locked before it has the name, so that nobody else can open it first
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
        """Close the file; another process may open it."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1


def _lock(file: int, path: Path) -> None:
    """Lock the file, and make sure that it still is the one at ``path``: its holder may have replaced it."""
    if not stat.S_ISREG(os.fstat(file).st_mode):
        raise OSError(0, "a device, pipe or socket")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise InUseError from None
    if not os.path.samestat(os.fstat(file), os.stat(path)):
        raise InUseError


def _write(file: int, data: bytes) -> None:
    """Write all of ``data``; a disk that fills up may take a part before it refuses."""
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(file, rest) :]
