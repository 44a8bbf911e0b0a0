"""The published images, unpacked once into pytest's cache."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

SHARED = Path(__file__).parents[3] / "shared"


@pytest.fixture(scope="session")
def published(request: pytest.FixtureRequest) -> Callable[[str], Path]:
    """Return a function from a data set's name to the folder that holds its published layout."""
    unpack = SHARED / "bin" / "unpack-data"
    if not unpack.is_file():
        pytest.skip("the published images are not beside this checkout (../shared/bin/unpack-data)")
    root = request.config.cache.mkdir("published")

    def folder(name: str) -> Path:
        subprocess.run([sys.executable, str(unpack), str(root), name], check=True, capture_output=True, timeout=600)
        return root / name

    return folder


@pytest.fixture(scope="session")
def patients() -> Path:
    """The list of who is who in the Mendeley mammograms."""
    path = SHARED / "data" / "mendeley-groups.csv"
    if not path.is_file():
        pytest.skip("the list of patients is not beside this checkout (../shared/data)")
    return path
