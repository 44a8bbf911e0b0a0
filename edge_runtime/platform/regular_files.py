"""Read a regular file of bounded size: its kind and size are known before any byte of it is read.

A pipe would be waited for without end, a device may never end or act when it is opened, and a file of the wrong size
would fill the memory before its hash could tell.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

_KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFLNK: "a link",
}
_FLAGS = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
_NO_LINK = getattr(os, "O_NOFOLLOW", 0)
_SLICE = 1 << 16


class WrongSizeError(OSError):
    """A file has another size than it may have; ``found`` is its size in bytes."""

    def __init__(self, found: int, expected: str) -> None:
        super().__init__(f"it has {found} bytes, expected {expected}")
        self.found = found


def kind(mode: int) -> str:
    """Return what ``st_mode`` says, in words: ``a pipe``, ``a folder``; ``a regular file`` for those."""
    return "a regular file" if stat.S_ISREG(mode) else _KINDS.get(stat.S_IFMT(mode), "no regular file")


def read_regular(path: Path, *, most: int, size: int | None = None, follow: bool = True) -> bytes:
    """Return the bytes of a regular file.

    Args:
        most: bytes that it may have.
        size: bytes that it must have; None if any number up to ``most`` will do.
        follow: whether ``path`` itself may be a link.

    Raises:
        WrongSizeError: it has more bytes, or another number of them; none was read.
        OSError: it is missing, no regular file, a link that leads nowhere or in a circle, or cannot be read.
    """
    descriptor = open_regular(path, follow=follow)
    try:
        found = os.fstat(descriptor).st_size
        check_size(found, most, size)
        data = _read(descriptor, most if size is None else size, found)
    finally:
        os.close(descriptor)
    check_size(len(data), most, size)
    return data


def check_size(found: int, most: int, size: int | None) -> None:
    """Raises: WrongSizeError: ``found`` bytes are more than ``most``, or not ``size`` where that is given."""
    if size is not None and found != size:
        raise WrongSizeError(found, str(size))
    if found > most:
        raise WrongSizeError(found, f"at most {most}")


def open_regular(path: Path, *, follow: bool = True) -> int:
    """Return a descriptor of a regular file, open for reading; whoever calls closes it.

    Its kind is looked at before it is opened, for opening alone sets some devices off, and again afterwards, for
    another file may have come in its place.

    Raises:
        OSError: as :func:`read_regular`.
    """
    _refuse_others(path.stat() if follow else path.lstat())
    descriptor = os.open(path, _FLAGS if follow else _FLAGS | _NO_LINK)
    try:
        _refuse_others(os.fstat(descriptor))
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def _refuse_others(status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise OSError(f"found {kind(status.st_mode)}, expected a regular file")


def reason(error: OSError) -> str:
    """Return the fault in words, without the path, which every message names by itself."""
    return error.strerror or str(error)


def _read(descriptor: int, most: int, found: int) -> bytes:
    """Return what follows, one byte more than ``most`` at the most: a file may grow while it is read."""
    parts, left = [], most + 1
    while left > 0:
        part = os.read(descriptor, min(left, max(found + 1, _SLICE)))
        if not part:
            break
        parts.append(part)
        left -= len(part)
    return b"".join(parts)
