"""sd_notify over a real socket, and the unit."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge_runtime.cli.service import Service
from tests.places import ROOT
from tests.unit.bundle.shipped_bundle import NAME, image

UNIT = (ROOT / "docs" / "edge-predict.service").read_text(encoding="utf-8")


@pytest.fixture(params=["path", "abstract"])
def manager(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[socket.socket, str]]:
    """A socket as systemd's, and what NOTIFY_SOCKET says of it."""
    name = f"edge-predict-test-{os.getpid()}-{time.monotonic_ns()}"
    address, said = (f"\0{name}", f"@{name}") if request.param == "abstract" else (str(tmp_path / "s"),) * 2
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(address)
        listening.settimeout(30)
        yield listening, said


def until(listening: socket.socket, wanted: str) -> list[str]:
    """Every line that came, up to the wanted one."""
    found: list[str] = []
    end = time.monotonic() + 60
    while wanted not in found:
        assert time.monotonic() < end, f"{wanted} never came"  # signs of life go on coming
        found += listening.recv(4096).decode().split("\n")
    return found


def test_a_watch_tells_ready_alive_reloading_and_stopping(manager: tuple[socket.socket, str], tmp_path: Path) -> None:
    listening, address = manager
    folder = image(tmp_path / "in" / "a.png").parent
    command = [sys.executable, "-m", "edge_runtime.cli.predict", "--model", NAME, "--watch", str(folder)]
    command += ["--output", str(tmp_path / "results.jsonl"), "--interval", "600"]
    environment = {**os.environ, "NOTIFY_SOCKET": address, "WATCHDOG_USEC": "600000"}
    with subprocess.Popen(command, cwd=ROOT, env=environment, stderr=subprocess.DEVNULL) as process:
        try:
            first = until(listening, "READY=1")
            assert "WATCHDOG=1" not in first
            begin = time.monotonic()
            for _ in range(4):
                until(listening, "WATCHDOG=1")
            assert time.monotonic() - begin < 5, "also within a long interval"
            process.send_signal(signal.SIGHUP)
            reload = until(listening, "RELOADING=1") + until(listening, "READY=1")
            (stamp,) = [line for line in reload if line.startswith("MONOTONIC_USEC=")]
            assert abs(int(stamp.partition("=")[2]) - time.monotonic_ns() // 1000) < 30_000_000
            process.send_signal(signal.SIGTERM)
            until(listening, "STOPPING=1")
            assert process.wait(timeout=30) == 0
        finally:
            process.kill()


def test_another_process_is_not_kept_alive_and_a_deaf_manager_stops_nothing(
    manager: tuple[socket.socket, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    listening, address = manager
    monkeypatch.setenv("NOTIFY_SOCKET", address)
    monkeypatch.setenv("WATCHDOG_USEC", "1000")
    monkeypatch.setenv("WATCHDOG_PID", "1")
    service = Service()
    service.alive()
    service.tell("STATUS=two\nlines")
    assert listening.recv(4096) == b"STATUS=two lines"
    listening.close()
    service.tell("STATUS=x")
    service.close()
    monkeypatch.delenv("WATCHDOG_PID")
    monkeypatch.setenv("NOTIFY_SOCKET", "vsock:2:1234")
    Service().alive()


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd here")
def test_the_unit_verifies(tmp_path: Path) -> None:
    path = tmp_path / "edge-predict.service"
    path.write_text(UNIT.replace("/usr/local/bin/edge-predict", "/bin/true"), encoding="utf-8")
    verified = subprocess.run(["systemd-analyze", "verify", str(path)], check=False, capture_output=True, timeout=60)
    assert (verified.returncode, verified.stdout, verified.stderr) == (0, b"", b"")


def test_the_unit_names_store_and_key_and_restarts() -> None:
    settings = [line for line in UNIT.splitlines() if line and not line.startswith("#")]
    assert "Environment=EDGE_MODELS=/var/lib/edge-predict-models" in settings
    assert "#Environment=EDGE_TRUSTED_KEY=/etc/edge-predict/trusted.pub" in UNIT
    assert "EDGE_MODELS=/var/lib/edge-predict-models edge-bundle install" in UNIT
    for setting in ("Type=notify", "Restart=always", "RestartPreventExitStatus=2", "ExecReload=kill -HUP $MAINPID"):
        assert setting in settings, setting
    assert any(setting.startswith("WatchdogSec=") for setting in settings)
