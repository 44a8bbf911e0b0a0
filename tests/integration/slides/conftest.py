"""A model with a scale, and what the tests of slides share."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from edge_runtime import Predictor

SPEC = {"microns_per_pixel": 4}
POLICY = {"cutoff": 0.5, "confidence_floor": 0.6}


@pytest.fixture
def model(edited_bundle: Callable[..., Path]) -> Path:
    """A model of 4 microns per pixel whose answers on these slides differ."""

    def change(manifest: dict[str, dict[str, object]]) -> None:
        spec = json.loads(json.dumps(manifest["spec"]))
        manifest["spec"].update(SPEC, policy={**spec["policy"], **POLICY, "case": {"confidence": 0.6, "count": 3}})

    return edited_bundle(change)


@pytest.fixture
def predictor(model: Path) -> Iterator[Predictor]:
    """The same model, opened."""
    with Predictor.load(model) as opened:
        yield opened
