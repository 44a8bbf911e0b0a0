"""Read regular files of limited size. File type and size are checked before any byte is read.

Reading a pipe may block forever, opening a device may start an action, and a file of the wrong size could fill the
memory before its hash is checked.
"""

from __future__ import annotations

import os
import stat

_KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFLNK: "a link",
}
READING = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
"""Flags of ``os.open`` for reading the bytes of a file; opening a pipe never waits for its writer."""
_NO_LINK = getattr(os, "O_NOFOLLOW", 0)
_SLICE = 1 << 16


class WrongSizeError(OSError):
    """A file's size is not allowed; ``found`` is its size in bytes."""

    def __init__(self, found: int, expected: str) -> None:
        super().__init__(f"it has {found} bytes, expected {expected}")
        self.found = found


def kind(mode: int) -> str:
    """Return the file type of an ``st_mode`` in words, such as ``a pipe``, ``a folder`` or ``a regular file``."""
    return "a regular file" if stat.S_ISREG(mode) else _KINDS.get(stat.S_IFMT(mode), "no regular file")


def read_regular(path: str | os.PathLike[str], *, most: int, size: int | None = None, follow: bool = True) -> bytes:
    """Return the bytes of a regular file.

    Args:
        path: the file.
        most: largest size in bytes.
        size: required size in bytes; None for any size up to ``most``.
        follow: whether ``path`` itself may be a link.

    Raises:
        WrongSizeError: the size is not allowed; no byte was read.
        OSError: it is missing, not a regular file, a broken or circular link, or cannot be read.
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
    """Raise WrongSizeError if ``found`` bytes are more than ``most``, or differ from ``size`` if it is given."""
    if size is not None and found != size:
        raise WrongSizeError(found, str(size))
    if found > most:
        raise WrongSizeError(found, f"at most {most}")


def open_regular(path: str | os.PathLike[str], *, follow: bool = True) -> int:
    """Return a descriptor of a regular file, open for reading; the caller closes it.

    The file type is checked before opening, as opening a device may start an action, and again afterwards, as the file
    may have been replaced.

    Raises:
        OSError: as :func:`read_regular`.
    """
    _refuse_others(os.stat(path, follow_symlinks=follow))
    descriptor = os.open(path, READING if follow else READING | _NO_LINK)
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
    """Return the text of an error without the path, which each message adds itself."""
    return error.strerror or str(error)


def _read(descriptor: int, most: int, found: int) -> bytes:
    """Return the rest of the file, at most ``most`` + 1 bytes, as the file may grow while it is read."""
    parts, left = [], most + 1
    while left > 0:
        part = os.read(descriptor, min(left, max(found + 1, _SLICE)))
        if not part:
            break
        parts.append(part)
        left -= len(part)
    return b"".join(parts)
