"""Faults of the machine, told apart from faults of what was asked: memory, descriptors, space, I/O.

What the system says of a *path* (no such file, no permission, too many links) is a fault of the path. Everything else
that the system reports is the machine's: the same image may be answered a minute later.
"""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager

from edge_runtime.errors import EdgeError, MachineError

_OF_THE_PATH = frozenset(
    (
        *(errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.EACCES, errno.EPERM, errno.ENAMETOOLONG, errno.ELOOP),
        *(errno.EINVAL, errno.EILSEQ, errno.EOVERFLOW),  # names that this file system cannot hold
        errno.EPIPE,  # the reader of the output has gone
    )
)
_CODES = {
    errno.ENOMEM: "machine_memory",
    errno.EMFILE: "machine_descriptors",
    errno.ENFILE: "machine_descriptors",
    errno.ENOSPC: "machine_space",
    errno.EDQUOT: "machine_space",
    errno.EAGAIN: "machine_busy",
    errno.EINTR: "machine_busy",
    errno.EBUSY: "machine_busy",
    errno.ETXTBSY: "machine_busy",
}
_REMEDIES = {
    "machine_memory": "End other programs, raise the memory limit, or use fewer --workers",
    "machine_descriptors": "Raise the limit of open files (ulimit -n)",
    "machine_space": "Make room there",
    "machine_busy": "Wait until other programs have ended",
    "machine_io": "Check the disk, the mount and the network",
}
_NO_MEMORY = re.compile(
    r"bad_alloc|failed to allocate|out ?of ?memory|insufficient memory|cannot allocate|failed to map", re.I
)
_OPENCV_NO_MEMORY = -4  # cv::Error::StsNoMem


def machine_error(error: BaseException, where: str) -> MachineError | None:
    """Return what to raise in place of ``error`` if the machine is at fault, None if it is not.

    Args:
        error: what was caught; also what a library made of it: a cv2.error, a RuntimeError, an ImportError.
        where: begins the message: the image or file that was at hand.
    """
    if isinstance(error, EdgeError):  # its text may hold any file's name
        return error if isinstance(error, MachineError) else None
    reason = _reason(error)
    if reason is None:
        return None
    code, text = reason
    return MachineError(
        f"{where}: the machine failed ({text}), which says nothing about it. {_REMEDIES[code]}, then ask again.",
        code=code,
    )


@contextmanager
def machine_faults(where: str) -> Iterator[None]:
    """Raise a :class:`MachineError` in place of whatever the machine's fault came out as."""
    try:
        yield
    except Exception as error:
        raise_machine_fault(error, where)
        raise


def raise_machine_fault(error: Exception, where: str) -> None:
    """Raise a :class:`MachineError` if the machine is at fault; else do nothing.

    What libraries make of such a fault has no common base class, so any error may be one.
    """
    if fault := machine_error(error, where):
        raise fault from error


def _reason(error: BaseException) -> tuple[str, str] | None:
    """Return the code and what the system said, None for what is no fault of the machine."""
    if isinstance(error, MemoryError):
        return "machine_memory", "out of memory"
    if isinstance(error, OSError):
        if error.errno is None or error.errno in (0, *_OF_THE_PATH):
            return None
        return _CODES.get(error.errno, "machine_io"), error.strerror or os.strerror(error.errno)
    if isinstance(error, ImportError):
        return _reason_of_import(error)
    if getattr(error, "code", None) == _OPENCV_NO_MEMORY or _NO_MEMORY.search(str(error)):
        return "machine_memory", "out of memory"
    return ("machine_busy", "no more threads") if "can't start new thread" in str(error) else None


def _reason_of_import(error: ImportError) -> tuple[str, str] | None:
    """The loader of shared objects tells the system's fault in its message alone."""
    cause = error.__cause__ or error.__context__
    if cause is not None and (reason := _reason(cause)):
        return reason
    if _NO_MEMORY.search(str(error)):
        return "machine_memory", "out of memory"
    numbers = (*_CODES, errno.EIO, errno.ESTALE, errno.ENODEV, errno.ETIMEDOUT)
    said = next((number for number in numbers if os.strerror(number) in str(error)), None)
    return None if said is None else (_CODES.get(said, "machine_io"), os.strerror(said))
