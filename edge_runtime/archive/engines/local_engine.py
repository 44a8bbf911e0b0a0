"""Class :class:`LocalEngine`: worker processes of this machine, each restarted when it dies."""

from __future__ import annotations

import multiprocessing
import signal
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from typing import Any

from edge_runtime.archive.engines.engine import RETRIES, Outcome, Task, fault_of
from edge_runtime.errors import EdgeError

_NOTHING = object()


class LocalEngine:
    """Worker processes that are started by ``spawn``: they inherit no lock and no interpreter."""

    def __init__(self, workers: int) -> None:
        self.workers = workers

    def run(self, task: Task, items: Iterable[Any]) -> Iterator[Outcome]:
        source = iter(items)
        workers: list[_Worker] = []
        try:
            for item in _first(source, self.workers):
                workers.append(_Worker.start(task))
                workers[-1].give(item)
            busy = list(workers)
            while busy:
                ready = wait([worker.pipe for worker in busy])
                for worker in [worker for worker in busy if worker.pipe in ready]:
                    outcome = worker.outcome()
                    if outcome is None:
                        continue
                    yield outcome
                    item = next(source, _NOTHING)
                    if item is _NOTHING:
                        busy.remove(worker)
                    else:
                        worker.give(item)
        finally:
            for worker in workers:
                worker.stop()


def _first(source: Iterator[Any], count: int) -> Iterator[Any]:
    for _, item in zip(range(count), source, strict=False):
        yield item


@dataclass
class _Worker:
    """One worker process, and the item that it has."""

    task: Task
    process: Any
    pipe: Connection
    item: Any = None
    deaths: int = 0

    @classmethod
    def start(cls, task: Task) -> _Worker:
        return cls(task, *_started(task))

    def give(self, item: Any) -> None:
        """Send an item. A process that is dead is noticed by :meth:`outcome`."""
        self.item, self.deaths = item, 0
        self._send()

    def _send(self) -> None:
        with suppress(OSError):
            self.pipe.send(self.item)

    def outcome(self) -> Outcome | None:
        """Return the outcome; None if the process died and another one has its item now."""
        try:
            fault: EdgeError | str | None = self.pipe.recv()
        except (EOFError, OSError):
            self.process.join()
            code = self.process.exitcode
            self.pipe.close()
            self.process, self.pipe = _started(self.task)
            self.deaths += 1
            if self.deaths > RETRIES:
                return Outcome(self.item, f"the worker process died {self.deaths} times (exit status {code})")
            self._send()
            return None
        return Outcome(self.item, fault)

    def stop(self) -> None:
        """Stop the process; what it has not finished is lost."""
        self.pipe.close()
        self.process.kill()
        self.process.join()


def _started(task: Task) -> tuple[Any, Connection]:
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=_work, args=(there, task), daemon=True)
    process.start()
    there.close()
    return process, here


def _work(pipe: Connection, task: Task) -> None:
    """Work until the other end is closed, also by the death of that process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C goes to the whole group; the parent stops this process
    with suppress(EOFError, OSError):
        while True:
            item = pipe.recv()
            try:
                task(item)
            except Exception as error:
                pipe.send(fault_of(error))
            else:
                pipe.send(None)
