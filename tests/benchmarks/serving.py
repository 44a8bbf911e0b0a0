"""``edge-serve`` under load, beside a bare ``Predictor.predict`` in the same run.

    python tests/benchmarks/serving.py [--requests 2000] [--connections 200] [--model NAME] [--image FILE] [--rounds 3]

Each round starts the service with a place for every connection, then with the default queue. All connections send their
requests in five turns; before and after each turn as many bare predictions run, so that a busy machine changes both.
Times are processor time, user and system. Every request has to get a response, and its status has to be 200 or 503.
"""

from __future__ import annotations

import argparse
import asyncio
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.places import ROOT
from tests.serving import Served, serving

ALLOWED = {200, 503}
HEALTH_S, MOST_MB, MOST_RATIO, TURNS = 0.5, 120.0, 2.0, 5
BARE = """
import sys, time
from edge_runtime import Predictor
image = open(sys.argv[2], "rb").read()
with Predictor.load(sys.argv[1]) as predictor:
    for count in map(int, sys.stdin):
        start = time.process_time_ns()
        for _ in range(count):
            predictor.predict(image)
        print((time.process_time_ns() - start) / count / 1e6, flush=True)
"""


class Bare:
    """A process that predicts the image again and again, without a service."""

    def __init__(self, model: str, image: Path) -> None:
        command = [sys.executable, "-c", BARE, model, str(image)]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT, bufsize=1
        )
        self.ms(50)

    def ms(self, count: int) -> float:
        """Return milliseconds of processor time of one prediction."""
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(f"{count}\n")
        return float(self._process.stdout.readline())


@dataclass
class Load:
    """What a run under load gave.

    Attributes:
        statuses: number of responses by status.
        bare_ms, ms: processor time of a bare prediction and of a request, in milliseconds; one value for each turn.
        health_s: longest time of ``/health/live`` meanwhile.
        peak_mb: largest resident memory of the service since its start.
    """

    statuses: Counter[int] = field(default_factory=Counter)
    bare_ms: list[float] = field(default_factory=list)
    ms: list[float] = field(default_factory=list)
    health_s: float = 0.0
    peak_mb: float = 0.0

    @property
    def ratio(self) -> float:
        """The median over the turns."""
        return statistics.median(over / bare for over, bare in zip(self.ms, self.bare_ms, strict=True))


def processor_ms(process: int) -> float:
    """Return the processor time of all threads of a process so far."""
    threads = Path(f"/proc/{process}/task").glob("*/schedstat")
    return sum(int(thread.read_text().split()[0]) for thread in threads) / 1e6


def peak_mb(process: int) -> float:
    """Return the largest resident memory of a process so far, in MB (10^6 bytes)."""
    (line,) = (line for line in Path(f"/proc/{process}/status").read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) * 1024 / 1e6


async def respond(reader: asyncio.StreamReader) -> int:
    """Read one response; return its status."""
    head = await reader.readuntil(b"\r\n\r\n")
    length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0])
    await reader.readexactly(length)
    return int(head.split()[1])


async def ask(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, message: bytes, count: int) -> list[int]:
    """Send a message again and again, each after the response to the one before; return the statuses."""
    statuses = []
    for _ in range(count):
        writer.write(message)
        statuses.append(await respond(reader))
    return statuses


async def health(port: int, longest: list[float]) -> None:
    """Ask whether the service lives, twenty times a second."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    while True:
        start = time.perf_counter()
        writer.write(b"GET /health/live HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert await respond(reader) == 200
        longest.append(time.perf_counter() - start)
        await asyncio.sleep(0.05)


async def under_load(service: Served, bare: Bare, image: bytes, each: int, connections: int) -> Load:
    """Send ``each`` requests on every connection and measure the service."""
    head = f"POST /v1/predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(image)}\r\n\r\n".encode()
    load, longest, process = Load(), list[float](), service.process.pid
    probe = asyncio.ensure_future(health(service.port, longest))
    clients = [await asyncio.open_connection("127.0.0.1", service.port) for _ in range(connections)]
    for _ in range(TURNS):
        count = each // TURNS
        before = await asyncio.to_thread(bare.ms, count * connections)
        start = processor_ms(process)
        for statuses in await asyncio.gather(*(ask(*client, head + image, count) for client in clients)):
            load.statuses.update(statuses)
        load.ms.append((processor_ms(process) - start) / (count * connections))
        load.bare_ms.append((before + await asyncio.to_thread(bare.ms, count * connections)) / 2)
    probe.cancel()
    for _, writer in clients:
        writer.close()
    load.health_s, load.peak_mb = max(longest), peak_mb(process)
    return load


def measured(model: str, bare: Bare, image: bytes, each: int, connections: int, queue: int | None) -> Load:
    """Start a service, measure it and stop it."""
    options = () if queue is None else ("--queue", queue)
    with tempfile.TemporaryDirectory() as scratch, serving(Path(scratch) / "log", model, *options) as service:
        for _ in range(20):
            service.predict(image)
        load = asyncio.run(under_load(service, bare, image, each, connections))
        service.stop()
    assert load.statuses.total() == each * connections, "a request was lost"
    assert set(load.statuses) <= ALLOWED, load.statuses
    return load


def main() -> None:
    """Print each round, then the median."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=2000)
    parser.add_argument("--connections", type=int, default=200)
    parser.add_argument("--model", default="idc-patch-compact")
    parser.add_argument("--image", type=Path, default=ROOT / "docs" / "phantom.png")
    parser.add_argument("--rounds", type=int, default=3)
    chosen = parser.parse_args()
    resource.setrlimit(resource.RLIMIT_NOFILE, (4096, max(4096, resource.getrlimit(resource.RLIMIT_NOFILE)[1])))
    image = chosen.image.read_bytes()
    each = max(TURNS, chosen.requests // chosen.connections // TURNS * TURNS)
    loads: dict[int | None, list[Load]] = {chosen.connections: [], None: []}
    print("queue    200   503  bare ms  service ms  ratio  health s  peak MB")
    bare = Bare(chosen.model, chosen.image)
    for _ in range(chosen.rounds):
        for queue, found in loads.items():
            load = measured(chosen.model, bare, image, each, chosen.connections, queue)
            found.append(load)
            print(
                f"{queue or 'default':>7} {load.statuses[200]:5} {load.statuses[503]:5} "
                f"{statistics.median(load.bare_ms):8.3f} {statistics.median(load.ms):11.3f} "
                f"{load.ratio:6.2f} {load.health_s:9.3f} {load.peak_mb:8.1f}",
                flush=True,
            )
    ratios = [load.ratio for load in loads[chosen.connections]]
    every = [load for found in loads.values() for load in found]
    middle, slowest = statistics.median(ratios), max(load.health_s for load in every)
    print(f"ratio where every request was answered: median {middle:.2f}, {min(ratios):.2f} to {max(ratios):.2f}")
    faults = [] if middle <= MOST_RATIO else [f"the ratio is over {MOST_RATIO}"]
    faults += [] if slowest < HEALTH_S else [f"health took {slowest:.3f} s"]
    faults += [] if max(load.peak_mb for load in every) < MOST_MB else [f"memory reached {MOST_MB} MB"]
    raise SystemExit("; ".join(faults) or None)


if __name__ == "__main__":
    main()
