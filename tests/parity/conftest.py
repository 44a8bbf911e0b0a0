"""Parity is that of the files that ``export`` writes today."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def phantom_bundle(exported_bundle: Path) -> Path:
    """The bundle as ``export`` writes it today."""
    return exported_bundle
