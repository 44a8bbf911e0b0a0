"""Class :class:`WorkerProcess`: another process of this program, which calls a function for each item that it gets."""

from __future__ import annotations

import multiprocessing
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection
from typing import Any

Task = Callable[[Any], object]


class WorkerDiedError(Exception):
    """The process ended before it sent a result. The text says how."""


class WorkerProcess:
    """A process started by ``spawn``: it inherits no lock and no interpreter. It ends when this process ends.

    Several items may be given in advance; their results come in the same order.
    """

    def __init__(self, task: Task) -> None:
        """Start the process; this does not wait until it is ready.

        Args:
            task: a function of a module, a :func:`functools.partial` of one, or another object that can be pickled.
                It is called with each item. Its results are sent back. An exception of it ends the process.
        """
        context = multiprocessing.get_context("spawn")
        self._pipe, there = context.Pipe()
        self._process = context.Process(target=_serve, args=(there, task), daemon=True)
        try:
            with there, _without_interrupts():
                self._process.start()
        except BaseException:
            self.stop()
            raise

    def fileno(self) -> int:
        """Return a descriptor that is readable when a result has come, or the process has ended."""
        return self._pipe.fileno()

    def give(self, item: Any) -> None:
        """Send an item. A process that is dead is noticed by :meth:`result`."""
        with suppress(OSError):
            self._pipe.send(item)

    def result(self) -> Any:
        """Wait for the result of the earliest item that has none, and return it.

        Raises:
            WorkerDiedError: the process has ended.
        """
        try:
            return self._pipe.recv()
        except (EOFError, OSError):
            self._process.join()
            code = self._process.exitcode or 0
            raise WorkerDiedError(f"signal {-code}" if code < 0 else f"exit status {code}") from None

    def stop(self) -> None:
        """Stop the process at once; what it has not finished is lost."""
        self._pipe.close()
        if self._process.pid is not None:  # it was started
            self._process.kill()
            self._process.join()


@contextmanager
def _without_interrupts() -> Iterator[None]:
    """Hold Ctrl-C back until the context ends, and block it in a process that is started meanwhile.

    That process would end with a traceback while it imports, and it also would if this one left the start half done. A
    block of this thread does not do, as another thread may take the signal. The resource tracker of multiprocessing
    unblocks the signal when it starts, so it is started first.
    """
    resource_tracker.ensure_running()
    held: list[int] = []
    in_main_thread = threading.current_thread() is threading.main_thread()  # elsewhere no handler can be set or called
    handler = signal.signal(signal.SIGINT, lambda number, _: held.append(number)) if in_main_thread else None
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
        if in_main_thread:
            signal.signal(signal.SIGINT, handler)
            for number in held:
                signal.raise_signal(number)


def _serve(pipe: Connection, task: Task) -> None:
    """Work until the other end is closed, also by the death of that process.

    Ctrl-C goes to all processes of a terminal. It is still blocked here: the process that started this one stops it.
    """
    while True:
        try:
            item = pipe.recv()
        except (EOFError, OSError):
            return
        result = task(item)
        try:
            pipe.send(result)
        except OSError:
            return
