"""A command of the coverage table that takes too long or too much memory is stopped, with all that it started."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import pytest

from export.coverage.limited import run

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")

CHILD = "import subprocess, sys, pathlib; p = subprocess.Popen(['sleep', '60']); pathlib.Path(sys.argv[1]).write_text("
CHILD += "str(p.pid)); p.wait()"
HOG = "held = bytearray(400 << 20); import time; time.sleep(60)"
GIB = 1 << 30


def test_status_and_stderr_of_a_command_that_ends(tmp_path: Path) -> None:
    code = "import sys; print('unseen'); print('error: no', file=sys.stderr); sys.exit(3)"
    ended = run([sys.executable, "-c", code], os.environ, tmp_path / "log", 60, GIB)
    assert (ended.status, ended.error, ended.limit) == (3, "error: no\n", "")


def test_at_the_limit_of_time_the_children_end_too(tmp_path: Path) -> None:
    ended = run([sys.executable, "-c", CHILD, str(tmp_path / "pid")], os.environ, tmp_path / "log", 3, GIB)
    assert (ended.status, ended.limit) == (None, "more than 0.05 minutes")
    child = Path("/proc") / (tmp_path / "pid").read_text(encoding="ascii")
    for _ in range(50):
        if not child.exists() or ") Z" in (child / "stat").read_text(encoding="ascii"):
            return
        time.sleep(0.1)
    pytest.fail("the child still runs")


def test_the_limit_of_memory(tmp_path: Path) -> None:
    ended = run([sys.executable, "-c", HOG], os.environ, tmp_path / "log", 60, 200 << 20)
    assert (ended.status, ended.limit) == (None, "more than 0.195312 GiB of memory")
    assert ended.seconds < 30 and ended.peak_bytes > 200 << 20
