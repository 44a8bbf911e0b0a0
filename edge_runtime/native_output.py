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

Result = TypeVar("Result")

_one_at_a_time = threading.Lock()
_STANDARD_ERROR = 2


def listen(call: Callable[[], Result], expected: re.Pattern[bytes]) -> tuple[Result, bytes]:
    """Call ``call`` and return its result with the lines written meanwhile that match ``expected``.

    Other lines, from other threads for example, go on to standard error, also when ``call`` raises.
    """
    with _one_at_a_time, _scratch() as scratch:
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
    os.dup2(descriptor, _STANDARD_ERROR)
    try:
        yield
    finally:
        if before < 0:
            os.close(_STANDARD_ERROR)
        else:
            os.dup2(before, _STANDARD_ERROR)
            os.close(before)
