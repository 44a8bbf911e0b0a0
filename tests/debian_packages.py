"""Debian packages that tests of the examples need: those of this machine, or installed, or the test is skipped.

A root user with apt-get, as in a container, gets them installed.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from functools import cache

import pytest

INSTALL_S = 600


def need(*packages: str) -> None:
    """Skip the test if a package is missing here and cannot be installed."""
    why = _missing(packages)
    if why:
        pytest.skip(why)


@cache
def _missing(packages: tuple[str, ...]) -> str:
    if shutil.which("dpkg-query") is None:
        return f"not a Debian system: the example needs what Debian calls {', '.join(packages)}"
    absent = [name for name in packages if not _installed(name)]
    if not absent:
        return ""
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        return f"install Debian's packages {' '.join(absent)}"
    install = ("apt-get", "install", "-y", "-qq", "--no-install-recommends", *absent)
    for command in (("apt-get", "update", "-qq"), install):
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=INSTALL_S, check=False)
        except subprocess.TimeoutExpired:
            return f"{' '.join(command)} took over {INSTALL_S} s"
        if done.returncode != 0:
            return f"{' '.join(command)}: {done.stderr.strip()[-200:]}"
    return ""


def _installed(name: str) -> bool:
    command = ("dpkg-query", "-W", "-f", "${db:Status-Status}", name)
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout == "installed"
