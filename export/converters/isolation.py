"""Run one conversion in its own process, to free its memory afterwards and to capture its output."""

from __future__ import annotations

import io
import multiprocessing
import os
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import forkserver
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerContext, SpawnContext
from pathlib import Path
from typing import Any

from export.converters.failure_text import first_line
from export.errors import ConversionError
from export.source.stored_tensors import Streamed

_LOG_LINES, _LONGEST = 40, 20_000
_PRELOADED = "export.converters.preloaded"


@dataclass(frozen=True)
class Usage:
    """What one job in a process of its own took.

    Attributes:
        job: name of the function, with its module.
        seconds: wall-clock time, with the start of the process.
        peak_bytes: largest resident memory of the process, with the frameworks that it shares with other jobs.
        images: number of images that it consumed one by one or in batches.
        image_seconds: the part of ``seconds`` that grows with the number of images.
    """

    job: str
    seconds: float
    peak_bytes: int
    images: int
    image_seconds: float

    @property
    def module(self) -> str:
        """Name of the function's module, without packages."""
        return self.job.split(".")[-2]


_observers: list[list[Usage]] = []


@contextmanager
def usages() -> Iterator[list[Usage]]:
    """Collect the usage of every job that succeeds in this context."""
    found: list[Usage] = []
    _observers.append(found)
    try:
        yield found
    finally:
        _observers.remove(found)


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
        began = time.perf_counter()
        process.start()
        sender.close()
        used: tuple[int, int, float] | None = None
        try:
            failure, used = receiver.recv()
        except EOFError:
            failure = None
        process.join()
        if used is not None:
            for observer in _observers:
                observer.append(Usage(f"{job.__module__}.{job.__name__}", time.perf_counter() - began, *used))
            return
        said = log.read_text(errors="replace").splitlines()[-_LOG_LINES:] if log.exists() else []
        what = _death(process.exitcode) if failure is None else first_line(failure)
        raise ConversionError(f"{job.__module__}.{job.__name__} failed: {what}", "\n".join(said))


def begin_imports() -> None:
    """Start the server that conversions are forked from, and return while it imports TensorFlow.

    An export calls this first: reading images takes as long as the imports, and overlaps with them.
    """
    if isinstance(_context(fresh=False), ForkServerContext):
        forkserver.ensure_running()


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
    """Run the job with stdout and stderr, also of C++ libraries, in ``log``; send the error, or the job's usage."""
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
        sender.send((f"{type(error).__name__}: {error}"[:_LONGEST], None))
    else:
        sender.send((None, (peak_bytes(), Streamed.images, Streamed.seconds)))


def peak_bytes() -> int:
    """Return this process's largest resident memory; 0 where the system does not tell it.

    On Linux it is ``VmHWM``: ``ru_maxrss`` also counts what the parent had before this program began.
    """
    status = Path("/proc/self/status")
    for line in status.read_text(encoding="ascii", errors="replace").splitlines() if status.is_file() else []:
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) << 10
    if sys.platform == "win32":
        return 0
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak << 10
