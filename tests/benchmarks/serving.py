"""``edge-serve`` under load, beside a bare ``Predictor.predict`` in the same run.

    python tests/benchmarks/serving.py [--requests 2000] [--connections 200] [--model NAME] [--image FILE] [--rounds 3]

Each round measures the service with a place for every connection and with the default queue, between bare predictions.
Times per request are processor time of the service, user and system, so that other programs change little. Every
request has to get a response, and its status has to be 200 or 503.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.places import ROOT
from tests.serving import Served

TICKS = os.sysconf("SC_CLK_TCK")
ALLOWED = {200, 503}
HEALTH_S, MOST_MIB, MOST_RATIO = 0.5, 120.0, 2.0
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


@dataclass(frozen=True)
class Load:
    """What a run under load gave.

    Attributes:
        statuses: number of responses by status.
        ms: processor time of the service per request, in milliseconds.
        health_s: longest time of ``/health/live`` meanwhile.
        peak_mib: largest resident memory of the service since its start.
    """

    statuses: Counter[int]
    ms: float
    health_s: float
    peak_mib: float


def processor_s(process: int) -> float:
    """Return user and system time of a process so far."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def peak_mib(process: int) -> float:
    """Return the largest resident memory of a process so far."""
    (line,) = (line for line in Path(f"/proc/{process}/status").read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) / 1024


async def respond(reader: asyncio.StreamReader) -> int:
    """Read one response; return its status."""
    head = await reader.readuntil(b"\r\n\r\n")
    length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0])
    await reader.readexactly(length)
    return int(head.split()[1])


async def ask(port: int, message: bytes, count: int, statuses: Counter[int]) -> None:
    """Send a message again and again on one connection, each after the response to the one before."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for _ in range(count):
        writer.write(message)
        statuses[await respond(reader)] += 1
    writer.close()


async def health(port: int, longest: list[float]) -> None:
    """Ask whether the service lives, twenty times a second."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    while True:
        start = time.perf_counter()
        writer.write(b"GET /health/live HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert await respond(reader) == 200
        longest.append(time.perf_counter() - start)
        await asyncio.sleep(0.05)


async def under_load(service: Served, image: bytes, requests: int, connections: int) -> Load:
    """Send the requests and measure the service."""
    head = f"POST /v1/predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(image)}\r\n\r\n".encode()
    statuses: Counter[int] = Counter()
    longest: list[float] = []
    probe = asyncio.ensure_future(health(service.port, longest))
    await asyncio.sleep(0.2)
    before = processor_s(service.process.pid)
    each = requests // connections
    await asyncio.gather(*(ask(service.port, head + image, each, statuses) for _ in range(connections)))
    used = processor_s(service.process.pid) - before
    probe.cancel()
    return Load(statuses, used / statuses.total() * 1000, max(longest), peak_mib(service.process.pid))


def measured(model: str, image: bytes, requests: int, connections: int, queue: int | None) -> Load:
    """Start a service, measure it and stop it."""
    options = () if queue is None else ("--queue", queue)
    with tempfile.TemporaryDirectory() as scratch:
        service = Served.start(Path(scratch) / "log", model, *options).until_ready()
        try:
            for _ in range(20):
                service.predict(image)
            load = asyncio.run(under_load(service, image, requests, connections))
            service.stop()
        finally:
            service.kill()
    assert load.statuses.total() == requests // connections * connections, "a request was lost"
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
    ratios: list[float] = []
    faults: list[str] = []
    print("queue    200   503  bare ms  service ms  ratio  health s  peak MiB")
    bare_process = Bare(chosen.model, chosen.image)
    before = bare_process.ms(chosen.requests)
    for _ in range(chosen.rounds):
        for queue in (chosen.connections, None):
            load = measured(chosen.model, image, chosen.requests, chosen.connections, queue)
            after = bare_process.ms(chosen.requests)
            bare, before = (before + after) / 2, after
            ratio = load.ms / bare
            print(
                f"{queue or 'default':>7} {load.statuses[200]:5} {load.statuses[503]:5} {bare:8.3f} {load.ms:11.3f} "
                f"{ratio:6.2f} {load.health_s:9.3f} {load.peak_mib:9.1f}",
                flush=True,
            )
            if load.health_s >= HEALTH_S:
                faults.append(f"health took {load.health_s:.3f} s")
            if load.peak_mib >= MOST_MIB:
                faults.append(f"memory reached {load.peak_mib:.1f} MiB")
            if queue is not None:
                ratios.append(ratio)
    middle = statistics.median(ratios)
    print(f"ratio where every request was answered: median {middle:.2f}, {min(ratios):.2f} to {max(ratios):.2f}")
    if middle > MOST_RATIO:
        faults.append(f"the ratio is over {MOST_RATIO}")
    raise SystemExit("; ".join(faults) or None)


if __name__ == "__main__":
    main()
