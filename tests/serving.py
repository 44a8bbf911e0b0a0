"""A real ``edge-serve`` in a process of its own, for tests and benchmarks."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.places import ROOT

START_S = 60


@dataclass
class Reply:
    """Status, headers and body of a response."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


def _lower(headers: Any) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}


@dataclass
class Served:
    """A running service."""

    process: subprocess.Popen[bytes]
    log: Path
    port: int | None = None
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def ask(self, path: str, body: bytes | None = None, method: str | None = None, **headers: str) -> Reply:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        request = urllib.request.Request(f"{self.url}{path}", body, {**self.headers, **named}, method=method)
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return Reply(answer.status, _lower(answer.headers), answer.read())
        except urllib.error.HTTPError as error:
            return Reply(error.code, _lower(error.headers), error.read())

    def events(self) -> list[dict[str, Any]]:
        """Return the whole lines of the log that are JSON."""
        lines = self.log.read_text("utf-8").splitlines(keepends=True)
        return [json.loads(line) for line in lines if line.startswith("{") and line.endswith("\n")]

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(60)

    def await_ready(self) -> None:
        end = time.monotonic() + START_S
        while self.ask("/health/ready").status != 200:
            assert time.monotonic() < end, self.log.read_text("utf-8")
            time.sleep(0.05)


@contextlib.contextmanager
def serving(log: Path, *arguments: str, ready: bool = True, **environment: str) -> Iterator[Served]:
    """Start ``edge-serve`` on a free port of loopback, wait until it listens, and stop it at the end."""
    command = [sys.executable, "-m", "edge_runtime.cli.serve", *arguments]
    if "--uds" not in arguments:
        command += ["--port", "0"]
    known = {**os.environ, "PYTHONPATH": str(ROOT), **environment}
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, env=known, cwd=log.parent)
    served = Served(process, log)
    try:
        end = time.monotonic() + START_S
        while not (heard := [event for event in served.events() if event["event"] == "listening"]):
            assert process.poll() is None and time.monotonic() < end, log.read_text("utf-8")
            time.sleep(0.05)
        served.port = heard[0]["port"]
        if ready and served.port is not None:
            served.await_ready()
        yield served
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
