"""``promtool`` of Prometheus: that of this machine, or the one in Debian's package, or the test is skipped."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from functools import cache
from pathlib import Path

import pytest

PACKAGE = "prometheus"


def promtool(*arguments: str, stdin: bytes = b"") -> str:
    """Run it and return what it printed; it must end with 0."""
    tool, why = _found()
    if tool is None:
        pytest.skip(why)
    done = subprocess.run([tool, *arguments], input=stdin, capture_output=True, timeout=120, check=False)
    said = (done.stdout + done.stderr).decode()
    assert done.returncode == 0, said
    return said


@cache
def _found() -> tuple[str | None, str]:
    if (here := shutil.which("promtool")) is not None:
        return here, ""
    if shutil.which("apt-get") is None or shutil.which("dpkg-deb") is None or os.geteuid() != 0:
        return None, f"install Debian's package {PACKAGE}, which has promtool"
    folder = Path(tempfile.mkdtemp(prefix="promtool-"))  # unpacked, not installed: its service would start
    for command in (["apt-get", "download", PACKAGE], ["apt-get", "update", "-qq"], ["apt-get", "download", PACKAGE]):
        subprocess.run(command, cwd=folder, capture_output=True, timeout=300, check=False)
        if packages := list(folder.glob("*.deb")):
            subprocess.run(["dpkg-deb", "-x", packages[0], folder], check=True, timeout=300)
            return str(folder / "usr" / "bin" / "promtool"), ""
    return None, f"Debian's package {PACKAGE}, which has promtool, cannot be downloaded"
