"""Class :class:`LocalEngine`: worker processes of this machine, each restarted when it dies."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import islice
from multiprocessing.connection import wait
from typing import Any

from edge_runtime.archive.engines.engine import RETRIES, Outcome, Task, fault_of
from edge_runtime.errors import EdgeError
from edge_runtime.platform.worker_process import WorkerDiedError, WorkerProcess

_NOTHING = object()


class LocalEngine:
    """Worker processes, each of which has one item at a time."""

    def __init__(self, workers: int) -> None:
        self.workers = workers

    def run(self, task: Task, items: Iterable[Any]) -> Iterator[Outcome]:
        source = iter(items)
        workers: list[_Worker] = []
        try:
            for item in islice(source, self.workers):
                workers.append(_Worker(task, WorkerProcess(partial(_fault, task))))
                workers[-1].give(item)
            busy = list(workers)
            while busy:
                ready = wait([worker.process.fileno() for worker in busy])
                for worker in [worker for worker in busy if worker.process.fileno() in ready]:
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
                worker.process.stop()


@dataclass
class _Worker:
    """One worker process, and the item that it has."""

    task: Task
    process: WorkerProcess
    item: Any = None
    deaths: int = 0

    def give(self, item: Any) -> None:
        self.item, self.deaths = item, 0
        self.process.give(item)

    def outcome(self) -> Outcome | None:
        """Return the outcome; None if the process died and another one has its item now."""
        try:
            return Outcome(self.item, self.process.result())
        except WorkerDiedError as error:
            self.process.stop()
            self.process = WorkerProcess(partial(_fault, self.task))
            self.deaths += 1
            if self.deaths > RETRIES:
                return Outcome(self.item, f"the worker process died {self.deaths} times ({error})")
            self.process.give(self.item)
            return None


def _fault(task: Task, item: Any) -> EdgeError | str | None:
    try:
        task(item)
    except Exception as error:
        return fault_of(error)
    return None
