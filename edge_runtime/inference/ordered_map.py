"""Map items on several threads. Results keep the order of the items; the number of items in flight is limited."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from queue import SimpleQueue
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

WINDOW_PER_WORKER = 4
"""Items in flight per worker: enough to keep all workers busy, few enough to limit memory."""


def cores() -> int:
    """Return the number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def in_order(workers: Sequence[Callable[[Item], Result]], items: Iterable[Item]) -> Iterator[Result]:
    """Yield ``worker(item)`` for each item, in the order of the items.

    Each worker is called by one thread at a time. Items are read one by one, at most :data:`WINDOW_PER_WORKER` ×
    workers ahead of the next result. An exception of a worker is raised in place of its result. An exception of
    ``items`` is raised after the results of all earlier items. When the generator ends, also by ``close()``, items
    that no worker has started are dropped, and it waits for the others.
    """
    idle: SimpleQueue[Callable[[Item], Result]] = SimpleQueue()
    for worker in workers:
        idle.put(worker)

    def run(item: Item) -> Result:
        worker = idle.get()
        try:
            return worker(item)
        finally:
            idle.put(worker)

    with ThreadPoolExecutor(len(workers), thread_name_prefix="edge-batch") as pool:
        pending: deque[Future[Result]] = deque()
        try:
            yield from _windowed(lambda item: pool.submit(run, item), items, pending, WINDOW_PER_WORKER * len(workers))
        finally:
            for future in pending:
                future.cancel()


def _windowed(
    submit: Callable[[Item], Future[Result]], items: Iterable[Item], pending: deque[Future[Result]], window: int
) -> Iterator[Result]:
    source, fault = iter(items), None
    while True:
        while pending and (pending[0].done() or len(pending) >= window):
            yield pending.popleft().result()
        try:
            item = next(source)
        except StopIteration:
            break
        except Exception as error:  # any error of the iterable is raised below, after the earlier results
            fault = error
            break
        pending.append(submit(item))
    while pending:
        yield pending.popleft().result()
    if fault is not None:
        raise fault
