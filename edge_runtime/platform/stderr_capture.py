"""Capture text that native libraries write directly to the process's standard error.

Decoders and interpreters report only there: libjpeg reports damage, and LiteRT prints a greeting. The descriptor
belongs to the whole process. Captures are therefore short and one at a time, and unexpected lines are passed on to
standard error.
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
    """State of the current capture.

    Attributes:
        lock: held during a capture.
        before: during a capture, a descriptor of the original standard error, or -1 if it was closed; otherwise None.
        thread: identifier of the capturing thread.
    """

    def __init__(self) -> None:
        self.lock = ForkSafeLock()
        self.before: int | None = None
        self.thread = 0
        renew_in_child(self)

    def renew(self) -> None:
        """Restore standard error in a child process, where the capturing thread of the parent does not exist."""
        if self.before is not None and self.thread != threading.get_ident():
            _lead_back(self.before)
            self.before = None


_listening = _Listening()


def listen(call: Callable[[], Result], expected: bytes) -> tuple[Result, bytes]:
    """Run ``call`` and return its result, with the captured lines that match the pattern ``expected``.

    Other lines, for example from other threads, are passed on to standard error, even if ``call`` raises.
    """
    with _listening.lock.held, _scratch() as scratch:
        try:
            with _standard_error_into(scratch.fileno()):
                result = call()
        finally:
            scratch.seek(0)
            lines = scratch.read().splitlines(keepends=True)
            others = b"".join(line for line in lines if not re.search(expected, line))
            if others:
                with suppress(OSError):  # a daemon may have closed it
                    os.write(_STANDARD_ERROR, others)
    return result, b"".join(line for line in lines if re.search(expected, line))


def _scratch() -> IO[bytes]:
    """Open a temporary file without a name, in memory if the system supports it.

    Raises:
        OSError: the machine has no memory or descriptor for it.
    """
    if hasattr(os, "memfd_create"):
        return os.fdopen(os.memfd_create("standard-error"), "w+b", buffering=0)
    from tempfile import TemporaryFile

    return TemporaryFile(buffering=0)


@contextmanager
def _standard_error_into(descriptor: int) -> Iterator[None]:
    """Redirect descriptor 2 to ``descriptor`` in the context, even if the process has closed descriptor 2."""
    try:
        before = os.dup(_STANDARD_ERROR)
    except OSError as error:
        if error.errno != errno.EBADF:  # for example no free descriptor: the caller's own would be closed below
            raise
        before = -1
    _listening.thread, _listening.before = threading.get_ident(), before  # set before the redirection
    os.dup2(descriptor, _STANDARD_ERROR)
    try:
        yield
    finally:
        _lead_back(before)
        _listening.before = None
        if before >= 0:
            os.close(before)


def _lead_back(before: int) -> None:
    """Restore descriptor 2 from ``before``; -1 closes it. May be called twice."""
    if before < 0:
        with suppress(OSError):
            os.close(_STANDARD_ERROR)
    else:
        os.dup2(before, _STANDARD_ERROR)
