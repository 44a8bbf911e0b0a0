"""An empty store, and bundles to install in it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.bundle import small_bundle
from tests.unit.bundle.registry.state import Make


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty store."""
    monkeypatch.setenv("EDGE_MODELS", str(tmp_path / "store"))
    return tmp_path / "store"


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """Make a bundle of a version."""

    def of(version: str, **options: str) -> Path:
        folder = tmp_path / f"made-{version}-{len(list(tmp_path.iterdir()))}"
        return small_bundle.make(folder, version=version, **options)

    return of
