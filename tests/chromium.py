"""Chromium for the tests of the page: the one of this machine, or Debian's, or none.

Tests skip with the reason where there is none. A root user with apt-get, as in a container, gets Debian's installed.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser

NAMES = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome")
INSTALL = (("apt-get", "update", "-qq"), ("apt-get", "install", "-y", "-qq", "--no-install-recommends", "chromium"))
INSTALL_S = 600


@cache
def found() -> tuple[str | None, str]:
    """Return the path of a Chromium, or None and why there is none."""
    path = _here()
    if path is not None:
        return path, ""
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        return None, "no Chromium on PATH: install Debian's package chromium"
    for command in INSTALL:
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=INSTALL_S, check=False)
        except subprocess.TimeoutExpired:
            return None, f"{' '.join(command)} took over {INSTALL_S} s"
        if done.returncode != 0:
            return None, f"{' '.join(command)}: {done.stderr.strip()[-200:]}"
    return _here(), "apt-get installed no chromium"


@contextmanager
def browser() -> Iterator[Browser]:
    """Yield a running Chromium without a window; skip the test if there is none."""
    api = pytest.importorskip("playwright.sync_api", reason="the package playwright is not installed")
    path, why = found()
    if path is None:
        pytest.skip(why)
    # Playwright's loop ends with this block: asyncio.run of later tests needs a thread without one
    with api.sync_playwright() as driver:
        chromium = driver.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield chromium
        chromium.close()


def _here() -> str | None:
    return next((path for path in map(shutil.which, NAMES) if path), None)
