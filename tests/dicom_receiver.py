"""A real ``edge-dicom receive`` in a process of its own, which a test may kill and start again."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edge_runtime.dicom.peer import Peer, TlsFiles
from edge_runtime.dicom.receiver import LOOPBACK
from tests.orthanc import free_port
from tests.places import ROOT

START_S = 60
TITLE = "EDGEPREDICT"
CALLER = "MODALITY"


@dataclass
class Receiver:
    """A running receiver; its spool and log outlive a kill."""

    folder: Path
    options: tuple[str, ...]
    port: int
    process: subprocess.Popen[bytes] | None = None

    @property
    def spool(self) -> Path:
        return self.folder / "spool"

    @property
    def log(self) -> Path:
        return self.folder / "receiver.log"

    @property
    def ready(self) -> Path:
        return self.folder / "ready"

    def start(self) -> None:
        self.ready.unlink(missing_ok=True)
        command = [sys.executable, "-m", "edge_runtime.cli.dicom", "receive", "--spool", str(self.spool)]
        command += ["--port", str(self.port), "--ready-file", str(self.ready), "--free-mib", "0", *self.options]
        known = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, cwd=self.folder, env=known)
        end = time.monotonic() + START_S
        while not self.ready.exists():
            assert self.process.poll() is None and time.monotonic() < end, self.log.read_text("utf-8")
            time.sleep(0.02)

    def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def stop(self) -> int:
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(60)

    def events(self, name: str) -> list[dict[str, Any]]:
        """Return the events of a name in the log."""
        lines = self.log.read_text("utf-8").splitlines()
        return [found for line in lines if (found := json.loads(line))["event"] == name]

    def await_events(self, name: str, count: int, within_s: float = 30) -> list[dict[str, Any]]:
        end = time.monotonic() + within_s
        while len(found := self.events(name)) < count:
            assert time.monotonic() < end, self.log.read_text("utf-8")
            time.sleep(0.05)
        return found

    def peer(self, own: str = CALLER, tls: TlsFiles | None = None) -> Peer:
        return Peer(TITLE, LOOPBACK[0], self.port, own, tls, timeout_s=10)

    def send(self, *files: Path, own: str = CALLER, tls: TlsFiles | None = None) -> list[int | None]:
        return [status for _, status in self.peer(own, tls).store(files)]


@contextlib.contextmanager
def receiving(folder: Path, bundle: Path, to: str, *options: str, start: bool = True) -> Iterator[Receiver]:
    """Start a receiver on a free port, and stop it at the end."""
    folder.mkdir(parents=True, exist_ok=True)
    running = Receiver(folder, ("--model", str(bundle), "--to", to, *options), free_port())
    try:
        if start:
            running.start()
        yield running
    finally:
        if running.process is not None and running.process.poll() is None:
            running.kill()
