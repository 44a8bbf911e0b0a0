"""The systemd units of drift: they verify, and their command line is one that the command takes."""

from __future__ import annotations

import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from edge_runtime.cli.drift import command
from tests.places import ROOT

UNITS = ("edge-predict-drift.service", "edge-predict-drift.timer")


def settings(name: str) -> list[str]:
    text = (ROOT / "docs" / name).read_text(encoding="utf-8").replace("\\\n", " ")
    return [line for line in text.splitlines() if line and not line.startswith("#")]


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd here")
def test_the_units_verify(tmp_path: Path) -> None:
    for name in UNITS:
        text = (ROOT / "docs" / name).read_text(encoding="utf-8")
        (tmp_path / name).write_text(text.replace("/usr/local/bin/edge-predict", "/bin/true"), encoding="utf-8")
    verify = ["systemd-analyze", "verify", *(str(tmp_path / name) for name in UNITS)]
    done = subprocess.run(verify, check=False, capture_output=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


def test_the_command_of_the_unit_is_one_that_drift_takes() -> None:
    (line,) = (line for line in settings(UNITS[0]) if line.startswith("ExecStart="))
    program, name, *options = shlex.split(line.removeprefix("ExecStart=").replace("$$", "$"))
    assert (program, name) == ("/usr/local/bin/edge-predict", "drift")
    parsed = command.make_context("edge-predict drift", options).params
    assert parsed["rotated"] and parsed["case_pattern"] == "([^/]+)/[^/]+$"
    assert "SuccessExitStatus=7" in settings(UNITS[0])
