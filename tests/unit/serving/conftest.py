"""An application with two models, which may answer."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from edge_runtime.serving.access import Access, own_names
from edge_runtime.serving.app import Service
from edge_runtime.serving.loaded_model import ModelOptions
from edge_runtime.serving.models import Models, State
from edge_runtime.serving.server import ServeOptions, core_of
from tests.phantom_bundle import CHECKED

REGION_MODEL = "mias-region"


@pytest.fixture(scope="package")
def models() -> Iterator[Models]:
    """The phantom model with a check, and a model of regions."""
    loaded = Models((str(CHECKED), REGION_MODEL), ModelOptions())
    for model in loaded:
        model.state = State.READY  # test_models.py runs self-tests
    yield loaded
    loaded.close()


@pytest.fixture(scope="package")
def service(models: Models) -> Iterator[Service]:
    """The application for requests to localhost, with bodies up to 200,000 bytes."""
    core = core_of(models, ServeOptions(most_bytes=200_000, read_timeout_s=5.0))
    yield Service(core, Access(hosts=own_names()))
    core.queue.close()
