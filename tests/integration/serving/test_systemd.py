"""The units of ``edge-serve``, and what it says to systemd."""

from __future__ import annotations

import http.client
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

import pytest

from tests.places import ROOT
from tests.serving import Served, serving

MODEL = "idc-patch-compact"
UNITS = {name: (ROOT / "docs" / name).read_text("utf-8") for name in ("edge-serve.service", "edge-serve.socket")}


def settings(name: str) -> list[str]:
    return [line for line in UNITS[name].splitlines() if line and not line.startswith("#")]


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd here")
def test_the_units_verify(tmp_path: Path) -> None:
    for name, text in UNITS.items():
        (tmp_path / name).write_text(text.replace("/usr/local/bin/edge-serve", "/bin/true"), "utf-8")
    verify = ["systemd-analyze", "verify", *(str(tmp_path / name) for name in UNITS)]
    verified = subprocess.run(verify, check=False, capture_output=True, timeout=60)
    assert (verified.returncode, verified.stdout, verified.stderr) == (0, b"", b"")


def test_the_units_name_socket_store_and_key() -> None:
    service = settings("edge-serve.service")
    for setting in ("Type=notify", "Requires=edge-serve.socket", "RestartPreventExitStatus=2", "PrivateNetwork=yes"):
        assert setting in service
    assert "Environment=EDGE_MODELS=/var/lib/edge-predict-models" in service
    assert "ListenStream=127.0.0.1:8000" in settings("edge-serve.socket")


def said(manager: socket.socket, wanted: str) -> list[str]:
    """Return every line up to the wanted one."""
    found: list[str] = []
    end = time.monotonic() + 60
    while wanted not in found:
        assert time.monotonic() < end, found
        found += manager.recv(4096).decode().split("\n")
    return found


def test_it_tells_ready_alive_and_stopping(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(60)
        told = {"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "600000"}
        with serving(tmp_path / "log", MODEL, **told) as service:
            assert "STATUS=answering" in said(manager, "READY=1") + said(manager, "WATCHDOG=1")
            said(manager, "WATCHDOG=1")
            service.process.send_signal(signal.SIGTERM)
            said(manager, "STOPPING=1")
            service.ended()


def test_connections_wait_while_a_service_with_a_handed_over_socket_restarts(tmp_path: Path, phantom: bytes) -> None:
    """As a socket unit does it: the socket outlives the service."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as listening:
        for number in range(2):
            client = http.client.HTTPConnection("127.0.0.1", listening.getsockname()[1], timeout=60)
            client.request("POST", "/v1/predict", phantom)  # before the service starts
            service = Served.handed(listening, tmp_path / f"log-{number}", MODEL)
            try:
                answer = client.getresponse()
                assert answer.status in (200, 503) and answer.read()
                assert service.until_ready().predict(phantom).status == 200
                service.stop()
            finally:
                service.kill()
                client.close()
