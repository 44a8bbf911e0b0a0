from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.phantom_bundle import CHECKED, COMMITTED
from tests.places import ROOT
from tests.serving import Served, serving

PHANTOM = ROOT / "docs" / "phantom.png"
OPTIONS = ("--max-mib", "1", "--read-timeout", "1", "--queue", "8")


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A service of the phantom model, with small limits."""
    log = tmp_path_factory.mktemp("served") / "log"
    with serving(log, str(COMMITTED), *OPTIONS) as running:
        yield running
        assert running.process.poll() is None, log.read_text("utf-8")


@pytest.fixture(scope="module")
def checked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A service of the phantom model with an out-of-distribution check, and of the model for marked regions."""
    log = tmp_path_factory.mktemp("checked") / "log"
    with serving(log, str(CHECKED), "mias-region") as running:
        yield running


@pytest.fixture(scope="module")
def image() -> bytes:
    return PHANTOM.read_bytes()


@pytest.fixture(scope="module")
def phantom() -> Path:
    return PHANTOM
