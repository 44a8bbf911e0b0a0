"""A service on a Unix socket, images, and a stand-in that answers what a test wants."""

from __future__ import annotations

import json
import os
import socketserver
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from tests.places import ROOT
from tests.serving import serving

MODEL, REGION_MODEL = "idc-patch-compact", "mias-region"
CIRCLE = "80.5,70,24"
VARIES = ("image", "time", "ms", "check")


def predicted(*arguments: str) -> dict[str, Any]:
    """Return what ``edge-predict --json`` prints for one image, without the keys that vary."""
    command = [sys.executable, "-m", "edge_runtime.cli.predict", "--json", *arguments]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return steady(subprocess.run(command, capture_output=True, text=True, env=environment, check=False).stdout)


def steady(line: str) -> dict[str, Any]:
    return {key: value for key, value in json.loads(line).items() if key not in VARIES}


@pytest.fixture(scope="session")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder: a good image, one that is cut off, an unfamiliar one, one for a region, and a large one."""
    folder = tmp_path_factory.mktemp("images")
    good = (ROOT / "docs" / "phantom.png").read_bytes()
    (folder / "good.png").write_bytes(good)
    (folder / "cut.png").write_bytes(good[:-40])
    random = np.random.default_rng(0)
    cv2.imwrite(str(folder / "noise.png"), random.integers(0, 256, (64, 64, 3), dtype=np.uint8))
    rows, columns = np.mgrid[0:600, 0:600]
    film = 90 + 60 * np.sin(rows / 17) * np.cos(columns / 23) + random.normal(0, 6, rows.shape)
    cv2.imwrite(str(folder / "film.png"), np.clip(film, 0, 255).astype(np.uint8))
    cv2.imwrite(str(folder / "large.png"), random.integers(0, 256, (3000, 3000, 3), dtype=np.uint8))
    return folder


@pytest.fixture(scope="module")
def socket(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The Unix socket of a running service of two models."""
    folder = tmp_path_factory.mktemp("s")
    with serving(folder / "log", MODEL, REGION_MODEL, "--uds", str(folder / "s")):
        yield folder / "s"


@pytest.fixture(scope="session")
def contract() -> str:
    manifest = json.loads((ROOT / "edge_runtime" / "bundles" / MODEL / "bundle.json").read_text("utf-8"))
    found: str = manifest["contract"]
    return found


class StandIn(socketserver.ThreadingUnixStreamServer):
    """Gives planned answers to requests for predictions, one after the other, then the last one for ever.

    Attributes:
        planned: status and headers; 0 closes the connection without an answer.
        asked: paths of the requests for predictions.
        code: of its errors.
    """

    daemon_threads = True

    def __init__(self, path: Path, planned: list[tuple[int, dict[str, str]]], answer: bytes) -> None:
        super().__init__(str(path), _Handler)
        self.planned, self.answer = planned, answer
        self.asked: list[str] = []
        self.code = "busy"
        threading.Thread(target=self.serve_forever, daemon=True).start()


class _Handler(BaseHTTPRequestHandler):
    server: StandIn
    protocol_version = "HTTP/1.1"

    def address_string(self) -> str:
        return "unix"

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def do_GET(self) -> None:
        spec = {"name": MODEL, "version": "1.0.0"}
        self._send(200, {}, json.dumps({"manifest": {"spec": spec, "contract": "c"}}).encode())

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        planned = self.server.planned
        status, headers = planned.pop(0) if len(planned) > 1 else planned[0]
        self.server.asked.append(self.path)
        if status == 0:
            self.close_connection = True
            return
        error = json.dumps({"error": {"code": self.server.code, "message": "the queue is full"}}).encode()
        self._send(status, headers, self.server.answer if status == 200 else error)

    def _send(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)


ANSWER = {
    "model": MODEL,
    "version": "1.0.0",
    "contract": "c",
    "decision": "REFER",
    "reason": "LOW_CONFIDENCE",
    "label": "benign",
    "score": 0.5,
    "cutoff": 0.5,
}


@pytest.fixture
def stand_in(tmp_path: Path) -> Iterator[StandIn]:
    """A stand-in at ``tmp_path / "s"``; a test sets what it answers."""
    server = StandIn(tmp_path / "s", [(200, {})], json.dumps(ANSWER).encode())
    yield server
    server.shutdown()
    server.server_close()
