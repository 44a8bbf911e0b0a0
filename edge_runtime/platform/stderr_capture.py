"""What native libraries write to the process's standard error, past Python: taken, read, and sorted.

Decoders and interpreters have no other voice: libjpeg reports damage there alone, LiteRT greets there. The
descriptor belongs to the whole process, so listening is brief and one at a time, and lines that the caller
does not expect are handed on.
"""

from __future__ import annotations

import errno
import os
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import IO, TypeVar

from edge_runtime.platform.fork_safety import ForkSafeLock, renew_in_child

Result = TypeVar("Result")

_STANDARD_ERROR = 2


class _Listening:
    """Whose turn it is, and where standard error leads when nobody listens.

    Attributes:
        before: a descriptor of what standard error leads to otherwise, while somebody listens; -1 if that is nothing.
        thread: who listens.
    """

    def __init__(self) -> None:
        self.lock = ForkSafeLock()
        self.before: int | None = None
        self.thread = 0
        renew_in_child(self)

    def renew(self) -> None:
        """In a child process: give standard error back, which the listening thread of the parent never will here."""
        if self.before is not None and self.thread != threading.get_ident():
            _lead_back(self.before)
            self.before = None


_listening = _Listening()


def listen(call: Callable[[], Result], expected: re.Pattern[bytes]) -> tuple[Result, bytes]:
    """Call ``call`` and return its result with the lines written meanwhile that match ``expected``.

    Other lines, from other threads for example, go on to standard error, also when ``call`` raises.
    """
    with _listening.lock.held, _scratch() as scratch:
        try:
            with _standard_error_into(scratch.fileno()):
                result = call()
        finally:
            scratch.seek(0)
            lines = scratch.read().splitlines(keepends=True)
            others = b"".join(line for line in lines if not expected.search(line))
            if others:
                with suppress(OSError):  # a daemon may have closed it
                    os.write(_STANDARD_ERROR, others)
    return result, b"".join(line for line in lines if expected.search(line))


def _scratch() -> IO[bytes]:
    """Open a nameless file, in memory where the system has such.

    Raises:
        OSError: there is no memory or descriptor for it, which says nothing about what was to be called.
    """
    if hasattr(os, "memfd_create"):
        return os.fdopen(os.memfd_create("standard-error"), "w+b", buffering=0)
    from tempfile import TemporaryFile

    return TemporaryFile(buffering=0)


@contextmanager
def _standard_error_into(descriptor: int) -> Iterator[None]:
    """Let descriptor 2 lead to ``descriptor`` meanwhile, also in a process that has closed it."""
    try:
        before = os.dup(_STANDARD_ERROR)
    except OSError as error:
        if error.errno != errno.EBADF:  # without a free descriptor, say: the caller's own would be closed below
            raise
        before = -1
    _listening.thread, _listening.before = threading.get_ident(), before  # known before anything is led elsewhere
    os.dup2(descriptor, _STANDARD_ERROR)
    try:
        yield
    finally:
        _lead_back(before)
        _listening.before = None
        if before >= 0:
            os.close(before)


def _lead_back(before: int) -> None:
    """Let descriptor 2 lead to what ``before`` leads to; twice does no harm, -1 is nothing."""
    if before < 0:
        with suppress(OSError):
            os.close(_STANDARD_ERROR)
    else:
        os.dup2(before, _STANDARD_ERROR)
