"""Run one conversion in its own process, to free its memory afterwards and to capture its output."""

from __future__ import annotations

import io
import multiprocessing
import os
import signal
import sys
import tempfile
import traceback
from collections.abc import Callable
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerContext, SpawnContext
from pathlib import Path
from typing import Any

from export.converters.failure_text import first_line
from export.errors import ConversionError

_LOG_LINES, _LONGEST = 40, 20_000
_PRELOADED = "export.converters.preloaded"


def in_own_process(job: Callable[..., None], *args: Any, fresh: bool = False) -> None:
    """Call ``job(*args)`` in a process of its own and wait.

    On Linux the process is forked from a server that has imported TensorFlow and done nothing else. That saves some
    four seconds a conversion. Results are passed through files.

    Args:
        job: a function at the top level of a module.
        args: its arguments; they are pickled.
        fresh: start a new interpreter instead, as for measurements of memory.

    Raises:
        ConversionError: the job raised or its process died. The message is one line; ``log`` has its last output.
    """
    context = _context(fresh)
    receiver, sender = context.Pipe(duplex=False)
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "log"
        process = context.Process(target=_run, args=(job, args, str(log), sender))
        process.start()
        sender.close()
        try:
            failure = receiver.recv()
        except EOFError:
            failure = None
        process.join()
        if failure == "":
            return
        said = log.read_text(errors="replace").splitlines()[-_LOG_LINES:] if log.exists() else []
        what = _death(process.exitcode) if failure is None else first_line(failure)
        raise ConversionError(f"{job.__module__}.{job.__name__} failed: {what}", "\n".join(said))


def _death(status: int | None) -> str:
    """Return how a process died, and for a kill the likely cause."""
    if status == -signal.SIGKILL:
        return "its process was killed, which the system does when memory runs out. Free memory and export again."
    if status is not None and status < 0:
        return f"its process died of {signal.Signals(-status).name}"
    return f"its process died with exit status {status}"


def _context(fresh: bool) -> SpawnContext | ForkServerContext:
    if fresh or sys.platform != "linux":  # elsewhere a fork without exec is not safe
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([_PRELOADED])
    return context


def _run(job: Callable[..., None], args: tuple[Any, ...], log: str, sender: Connection) -> None:
    """Run the job with stdout and stderr, also of C++ libraries, in ``log``; send the error, or an empty text."""
    sys.stdout.flush()
    sys.stderr.flush()
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT, 0o600)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(line_buffering=True)  # a crash does not flush, and its last line is needed
    try:
        job(*args)
    except Exception as error:  # reported to the parent; the traceback is in the log
        traceback.print_exc()
        sys.stderr.flush()
        sender.send(f"{type(error).__name__}: {error}"[:_LONGEST])
    else:
        sender.send("")
