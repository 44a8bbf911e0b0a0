"""Many items on several threads: results in the order of the items, and never more than a window of them in flight."""

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
"""Items in flight for each worker: enough that none waits for the slowest, few enough that memory stays small."""


def cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def in_order(workers: Sequence[Callable[[Item], Result]], items: Iterable[Item]) -> Iterator[Result]:
    """Yield ``worker(item)`` for each item, in the order of the items.

    Each worker is called by one thread at a time. Items are asked for one by one, at most
    :data:`WINDOW_PER_WORKER` × workers ahead of the result that is awaited. An exception of a worker is raised in
    its item's place, one of ``items`` after the results of the items before it. Whenever the generator ends, also
    by ``close()``, items that nobody has begun are dropped and those begun are waited for.
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

    with ThreadPoolExecutor(len(workers), thread_name_prefix="edge") as pool:
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
        except Exception as error:  # whatever it is, it is raised below, after the results before it
            fault = error
            break
        pending.append(submit(item))
    while pending:
        yield pending.popleft().result()
    if fault is not None:
        raise fault
