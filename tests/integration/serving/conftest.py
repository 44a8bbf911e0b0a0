"""Running services and images for them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.phantom_bundle import CHECKED
from tests.places import ROOT
from tests.serving import Served

Started = Callable[..., Served]


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A service with the phantom model with a check, and both kinds of shipped model; ready."""
    models = (CHECKED, "idc-patch-compact", "mias-region")
    service = Served.start(tmp_path_factory.mktemp("serve") / "log", *models, EDGE_MODELS="/nonexistent").until_ready()
    yield service
    service.kill()


@pytest.fixture
def started(tmp_path: Path) -> Iterator[Started]:
    """Start services with arguments of the test; they end with it."""
    services: list[Served] = []

    def start(*arguments: object, **environment: str) -> Served:
        service = Served.start(tmp_path / f"service-{len(services)}" / "log", *arguments, **environment)
        services.append(service)
        return service

    yield start
    for service in services:
        service.kill()


@pytest.fixture(scope="session")
def phantom() -> bytes:
    """The phantom image."""
    return (ROOT / "docs" / "phantom.png").read_bytes()
