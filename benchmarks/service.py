"""``edge-serve`` as a contestant: requests over many connections, and the service's own processor time."""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from benchmarks.contestant import Turn
from benchmarks.memory import peak_mb
from tests.serving import serving

_WARM_UP = 20


class Service:
    """A running service.

    Attributes:
        statuses: number of responses by status, so far.
        health_s: the longest time of ``/health/live`` while requests were answered.
    """

    def __init__(self, name: str, model: str, image: bytes, connections: int, queue: int | None) -> None:
        """Start it, open the connections, and send the image a few times.

        Args:
            name: name of the row.
            model: the bundle that answers.
            image: body of every request.
            connections: connections that send at once, each after the response to its request before.
            queue: places for requests that wait; None for the default.
        """
        self.name, self.note, self._stack = name, "", ExitStack()
        self.statuses, self.health_s = Counter[int](), 0.0
        scratch = self._stack.enter_context(tempfile.TemporaryDirectory())
        options = () if queue is None else ("--queue", queue)
        self._service = self._stack.enter_context(serving(Path(scratch) / "log", model, *options))
        for _ in range(_WARM_UP):
            self._service.predict(image)
        head = f"POST /v1/predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(image)}\r\n\r\n"
        self._message = head.encode() + image
        self._loop = asyncio.new_event_loop()
        self._clients = [self._loop.run_until_complete(self._connect()) for _ in range(connections)]

    def turn(self, items: Sequence[int]) -> Turn:
        """Send as many requests as there are items, spread over the connections; the mean counts for each."""
        each = max(1, len(items) // len(self._clients))
        count, process = each * len(self._clients), self._service.process.pid
        began, before = time.perf_counter(), processor_s(process)
        self._loop.run_until_complete(self._under_load(each))
        spent, wall = processor_s(process) - before, time.perf_counter() - began
        return Turn((wall / count,) * len(items), (spent / count,) * len(items), peak_mb(process))

    def close(self) -> None:
        for _, writer in self._clients:
            writer.close()
        self._loop.run_until_complete(asyncio.sleep(0))
        self._loop.close()
        self._service.stop()
        self._stack.close()

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection("127.0.0.1", self._service.port)

    async def _under_load(self, each: int) -> None:
        probe = asyncio.ensure_future(self._health())
        for statuses in await asyncio.gather(*(self._ask(*client, each) for client in self._clients)):
            self.statuses.update(statuses)
        probe.cancel()

    async def _ask(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, count: int) -> list[int]:
        statuses = []
        for _ in range(count):
            writer.write(self._message)
            statuses.append(await _respond(reader))
        return statuses

    async def _health(self) -> None:
        """Ask whether the service lives, twenty times a second."""
        reader, writer = await self._connect()
        try:
            while True:
                began = time.perf_counter()
                writer.write(b"GET /health/live HTTP/1.1\r\nHost: localhost\r\n\r\n")
                await _respond(reader)
                self.health_s = max(self.health_s, time.perf_counter() - began)
                await asyncio.sleep(0.05)
        finally:
            writer.close()


async def _respond(reader: asyncio.StreamReader) -> int:
    """Read one response; return its status."""
    head = await reader.readuntil(b"\r\n\r\n")
    length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0])
    await reader.readexactly(length)
    return int(head.split()[1])


def processor_s(process: int) -> float:
    """Return the processor seconds of all threads of a process so far."""
    threads = Path(f"/proc/{process}/task").glob("*/schedstat")
    return sum(int(thread.read_text(encoding="ascii").split()[0]) for thread in threads) / 1e9
