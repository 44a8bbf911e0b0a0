"""The wheel, built once from this checkout."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.places import ROOT


@pytest.fixture(scope="session")
def wheel(once: Callable[[str, Callable[[Path], object]], Path]) -> Path:
    """The built wheel; nothing is left in the checkout."""
    if importlib.util.find_spec("hatchling") is None:
        pytest.skip("hatchling is not installed here")

    def build(folder: Path) -> None:
        command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
        subprocess.run(command, cwd=ROOT, check=True, capture_output=True, timeout=600)

    (built,) = once("wheel-as-built", build).glob("*.whl")
    return built
