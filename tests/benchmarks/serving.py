"""``python -m tests.benchmarks.serving [MODEL IMAGE]``: many clients at once, and what HTTP adds to a prediction.

2,000 requests over 200 connections: every status is 200 or 503, each has an answer, health answers meanwhile. Then the
processor time of the service for each request, as a ratio to bare predictions of the same image in the same run.
"""

from __future__ import annotations

import http.client
import os
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path

from edge_runtime import Predictor
from tests.phantom_bundle import COMMITTED
from tests.places import ROOT
from tests.serving import Served, serving

CONNECTIONS, EACH = 200, 10
MEASURED = 2_000


def crowd(served: Served, image: bytes) -> tuple[Counter[int], float]:
    """Ask from all connections at once; return the statuses and the longest time of a health request, in seconds."""
    statuses: Counter[int] = Counter()
    lock, done = threading.Lock(), threading.Event()

    def client() -> None:
        connection = http.client.HTTPConnection("127.0.0.1", served.port, timeout=120)
        for _ in range(EACH):
            connection.request("POST", "/v1/predict", image)
            answer = connection.getresponse()
            answer.read()
            with lock:
                statuses[answer.status] += 1
        connection.close()

    slowest = 0.0

    def watch() -> None:
        nonlocal slowest
        while not done.is_set():
            began = time.perf_counter()
            served.ask("/health/live")
            slowest = max(slowest, time.perf_counter() - began)
            time.sleep(0.05)

    threads = [threading.Thread(target=client) for _ in range(CONNECTIONS)]
    watcher = threading.Thread(target=watch)
    watcher.start()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    done.set()
    watcher.join()
    return statuses, slowest


def processor_seconds(pid: int) -> float:
    """Return the processor time of a process."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def peak_mb(pid: int) -> float:
    """Return the largest resident memory of a process."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1000


def main() -> None:
    model = sys.argv[1] if len(sys.argv) > 2 else str(COMMITTED)
    image = Path(sys.argv[2]).read_bytes() if len(sys.argv) > 2 else (ROOT / "docs" / "phantom.png").read_bytes()
    with tempfile.TemporaryDirectory() as folder, serving(Path(folder) / "log", model) as served:
        statuses, slowest = crowd(served, image)
        print(f"{sum(statuses.values())} requests over {CONNECTIONS} connections: {dict(statuses)}")
        print(f"slowest health request meanwhile: {slowest:.3f} s")
        connection = http.client.HTTPConnection("127.0.0.1", served.port)
        ratios = []
        with Predictor.load(model) as predictor:
            for _ in range(5):
                before = processor_seconds(served.process.pid)
                for _ in range(MEASURED // 5):
                    connection.request("POST", "/v1/predict", image)
                    connection.getresponse().read()
                over_http = processor_seconds(served.process.pid) - before
                began = time.process_time()
                for _ in range(MEASURED // 5):
                    predictor.predict(image)
                ratios.append(over_http / (time.process_time() - began))
        connection.close()
        print(f"processor time of a request / of a bare prediction: {sorted(ratios)[2]:.2f} (median of 5 turns)")
        print(f"largest memory of the service: {peak_mb(served.process.pid):.0f} MB")


if __name__ == "__main__":
    main()
