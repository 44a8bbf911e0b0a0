"""A bounded queue before the models: work runs in few threads, and what does not fit is refused at once."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from starlette.requests import ClientDisconnect, Request

from edge_runtime.serving.problems import ProblemError

Result = TypeVar("Result")


class WorkQueue:
    """Runs jobs in ``threads`` threads; at most ``waiting`` further ones wait."""

    def __init__(self, threads: int, waiting: int) -> None:
        self.threads, self.waiting, self.held = threads, waiting, 0
        self._pool = ThreadPoolExecutor(threads, "edge-serve")

    def check_free(self) -> None:
        """Refuse a request before its body is read, if the queue is full.

        Raises:
            ProblemError: the queue is full (503, with Retry-After).
        """
        if self.held >= self.threads + self.waiting:
            raise ProblemError(
                503,
                "busy",
                f"found {self.waiting} requests waiting, expected fewer. Send the request again in a second.",
                {"Retry-After": "1"},
            )

    async def run(self, job: Callable[[], Result], request: Request) -> Result:
        """Run ``job`` in a thread and return its result. A job that waits is dropped if its client leaves.

        Raises:
            ProblemError: the queue is full.
            ClientDisconnect: the client left before the job began.
        """
        self.check_free()
        starts_now = self.held < self.threads
        self.held += 1
        try:
            future = self._pool.submit(job)
            result = asyncio.wrap_future(future)
            if starts_now:  # nothing to drop
                return await result
            watcher = asyncio.ensure_future(_left(request.receive))
            try:
                await asyncio.wait((result, watcher), return_when=asyncio.FIRST_COMPLETED)
                if not result.done() and future.cancel():
                    raise ClientDisconnect
                return await result
            finally:
                watcher.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await watcher
        finally:
            self.held -= 1

    async def aside(self, job: Callable[[], Result]) -> Result:
        """Run a job of the service itself in a thread of its own, so that requests do not wait for it."""
        return await asyncio.to_thread(job)

    def close(self) -> None:
        """Wait for the jobs that run."""
        self._pool.shutdown(wait=True, cancel_futures=True)


async def _left(receive: Callable[[], Awaitable[object]]) -> None:
    """Return when the client has left; the body of the request was read before."""
    while True:
        message = await receive()
        if isinstance(message, dict) and message.get("type") == "http.disconnect":
            return
