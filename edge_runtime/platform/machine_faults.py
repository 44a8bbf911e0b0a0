"""Recognise faults of the machine: memory, file descriptors, disk space, I/O.

System errors about a *path* (no such file, no permission, too many links) are faults of the path. All other system
errors are faults of the machine: the same image may be predicted a minute later.
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
        *(errno.EINVAL, errno.EILSEQ, errno.EOVERFLOW),  # names that this file system cannot store
        errno.EPIPE,  # the reader of the output has exited
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
_NO_MEMORY = "(?i)bad_alloc|failed to allocate|out ?of ?memory|insufficient memory|cannot allocate|failed to map"
_OPENCV_NO_MEMORY = -4  # cv::Error::StsNoMem


def machine_error(error: BaseException, where: str) -> MachineError | None:
    """Return the MachineError to raise in place of ``error``, or None if the machine is not at fault.

    Args:
        error: the caught exception, also one that a library raised: a cv2.error, a RuntimeError, an ImportError.
        where: start of the message: the image or file in use.
    """
    if isinstance(error, EdgeError):  # its text may contain any file name
        return error if isinstance(error, MachineError) else None
    reason = _reason(error)
    if reason is None:
        return None
    code, text = reason
    return MachineError(
        f"{where}: the machine failed ({text}); the file itself may be valid. {_REMEDIES[code]}, then try again.",
        code=code,
    )


@contextmanager
def machine_faults(where: str) -> Iterator[None]:
    """Raise a :class:`MachineError` in place of any exception caused by a fault of the machine."""
    try:
        yield
    except Exception as error:
        raise_machine_fault(error, where)
        raise


def raise_machine_fault(error: Exception, where: str) -> None:
    """Raise a :class:`MachineError` if the machine is at fault; otherwise return.

    Libraries report such faults with exceptions without a common base class, so any exception may be one.
    """
    if fault := machine_error(error, where):
        raise fault from error


def _reason(error: BaseException) -> tuple[str, str] | None:
    """Return the error code and the system's text; None if the machine is not at fault."""
    if isinstance(error, MemoryError):
        return "machine_memory", "out of memory"
    if isinstance(error, OSError):
        if error.errno is None or error.errno in (0, *_OF_THE_PATH):
            return None
        return _CODES.get(error.errno, "machine_io"), error.strerror or os.strerror(error.errno)
    if isinstance(error, ImportError):
        return _reason_of_import(error)
    if getattr(error, "code", None) == _OPENCV_NO_MEMORY or re.search(_NO_MEMORY, str(error)):
        return "machine_memory", "out of memory"
    return ("machine_busy", "no more threads") if "can't start new thread" in str(error) else None


def _reason_of_import(error: ImportError) -> tuple[str, str] | None:
    """Return code and text of a failed import; the loader of shared objects reports them only in its message."""
    cause = error.__cause__ or error.__context__
    if cause is not None and (reason := _reason(cause)):
        return reason
    if re.search(_NO_MEMORY, str(error)):
        return "machine_memory", "out of memory"
    numbers = (*_CODES, errno.EIO, errno.ESTALE, errno.ENODEV, errno.ETIMEDOUT)
    number = next((number for number in numbers if os.strerror(number) in str(error)), None)
    return None if number is None else (_CODES.get(number, "machine_io"), os.strerror(number))
