"""The unit of ``edge-dicom``, and what the receiver says to systemd."""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
from pathlib import Path

import pytest

from tests.dicom_receiver import receiving
from tests.places import ROOT

UNIT = (ROOT / "docs" / "edge-dicom.service").read_text("utf-8")


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd here")
def test_the_unit_verifies(tmp_path: Path) -> None:
    unit = tmp_path / "edge-dicom.service"
    unit.write_text(UNIT.replace("/usr/local/bin/edge-dicom", "/bin/true"), "utf-8")
    verified = subprocess.run(["systemd-analyze", "verify", str(unit)], check=False, capture_output=True, timeout=60)
    assert (verified.returncode, verified.stdout, verified.stderr) == (0, b"", b"")


def test_the_unit_keeps_the_spool_and_tells_when_it_receives() -> None:
    lines = [line for line in UNIT.splitlines() if line and not line.startswith("#")]
    wanted = {"Type=notify", "StateDirectory=edge-dicom", "StateDirectoryMode=0700", "RestartPreventExitStatus=2"}
    assert wanted <= set(lines)
    (command,) = [line for line in lines if line.startswith("ExecStart=")]
    assert "receive --spool /var/lib/edge-dicom" in command
    assert "RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6" in lines


def test_it_is_ready_when_it_listens_and_says_that_it_stops(
    dicom_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "n"))
        manager.settimeout(60)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "n"))
        monkeypatch.setenv("WATCHDOG_USEC", "600000")
        with receiving(tmp_path / "r", dicom_bundle, "NOBODY@127.0.0.1:1", start=False) as receiver:
            receiver.start()
            assert "STATUS=receiving" in until(manager, "READY=1")
            with socket.create_connection(("127.0.0.1", receiver.port), 10):
                pass
            until(manager, "WATCHDOG=1")
            assert receiver.process is not None
            receiver.process.terminate()
            until(manager, "STOPPING=1")
            assert receiver.process.wait(60) == 0


def until(manager: socket.socket, wanted: str) -> list[str]:
    """Return every line up to the message with the wanted one."""
    found: list[str] = []
    end = time.monotonic() + 60
    while wanted not in found:
        assert time.monotonic() < end, found
        found += manager.recv(4096).decode("ascii").splitlines()
    return found
