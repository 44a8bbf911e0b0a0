"""A bounded queue before the worker threads. Work of a client that is gone leaves the queue."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from math import ceil
from typing import Any, TypeVar

from edge_runtime.serving.problems import busy

Result = TypeVar("Result")

_LONGEST_RETRY_S = 60
_WEIGHT = 0.1
"""Weight of the newest work in the moving average of its duration."""


class _Job:
    """One piece of work, and the future of its result in the event loop."""

    def __init__(self, work: Callable[[], Any], loop: asyncio.AbstractEventLoop) -> None:
        self.work, self.loop, self.future = work, loop, loop.create_future()

    def hand_over(self, result: Any, error: BaseException | None) -> None:
        """Give the result to the event loop."""
        with suppress(RuntimeError):  # the event loop was closed by a second signal
            self.loop.call_soon_threadsafe(self._end, result, error)

    def _end(self, result: Any, error: BaseException | None) -> None:
        if self.future.done():  # cancelled meanwhile
            return
        if error is None:
            self.future.set_result(result)
        else:
            self.future.set_exception(error)


def _done(work: Callable[[], Any]) -> tuple[Any, BaseException | None]:
    """Return the result of the work, or its error, whose frames do not hold the job.

    An error that holds its job, and so itself, would keep the image of its request until a search for cycles.
    """
    try:
        return work(), None
    except BaseException as raised:  # the request that waits gets it
        return None, raised


class WorkQueue:
    """Worker threads with a limited number of waiting jobs.

    Attributes:
        places: largest number of waiting jobs; those that run are not counted.
        workers: number of threads.
    """

    def __init__(self, places: int, workers: int) -> None:
        self.places, self.workers = places, workers
        self._jobs: deque[_Job] = deque()
        self._running, self._mean_s, self._closed = 0, 0.0, False
        self._changed = threading.Condition()
        for number in range(workers):
            threading.Thread(target=self._serve, name=f"edge-serve-{number}", daemon=True).start()

    @property
    def waiting(self) -> int:
        """Number of jobs that wait."""
        return len(self._jobs)

    @property
    def running(self) -> int:
        """Number of jobs that run."""
        return self._running

    async def run(self, work: Callable[[], Result]) -> Result:
        """Return ``work()``, called by a worker thread. If the caller is cancelled before that, it is never called.

        Raises:
            Problem: ``queue_full``.
        """
        job = _Job(work, asyncio.get_running_loop())
        with self._changed:
            if len(self._jobs) + self._running >= self.places + self.workers:  # a free worker may not have woken yet
                raise busy("queue_full", "Every place in the queue is taken.", self._retry_s())
            self._jobs.append(job)
            self._changed.notify()
        try:
            result: Result = await job.future
            return result
        except asyncio.CancelledError:
            self._drop(job)
            raise
        finally:
            del job  # see _done

    def _drop(self, job: _Job) -> None:
        with self._changed:
            if job in self._jobs:
                self._jobs.remove(job)

    def _retry_s(self) -> int:
        return min(max(ceil(self._mean_s * len(self._jobs) / self.workers), 1), _LONGEST_RETRY_S)

    def _serve(self) -> None:
        while (job := self._next()) is not None:
            start = time.monotonic()
            result, error = _done(job.work)
            with self._changed:
                self._running -= 1
                self._mean_s += (time.monotonic() - start - self._mean_s) * _WEIGHT
            job.hand_over(result, error)
            del job, result, error  # its image is not kept until the next one

    def _next(self) -> _Job | None:
        with self._changed:
            while not self._jobs:
                if self._closed:
                    return None
                self._changed.wait()
            self._running += 1
            return self._jobs.popleft()

    def close(self) -> None:
        """End the threads when no job is left."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
