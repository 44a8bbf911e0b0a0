"""A site whose labels need another cut-off than the model's: constructed cases of phantoms."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from edge_runtime import Precision, Predictor
from tests.unit.assurance.conftest import Rows, WriteCases

Listed = Callable[[Callable[[float, str], bool]], Path]


@pytest.fixture(scope="session")
def scores(phantom_patches: list[Path], phantom_bundle: Path) -> dict[Path, float]:
    """Score of each phantom, by the float32 file."""
    with Predictor.load(phantom_bundle, precision=Precision.FLOAT32) as predictor:
        found = predictor.predict_all(list(map(str, phantom_patches)))
        return {path: each.verdict.score for path, each in zip(phantom_patches, found, strict=True)}  # type: ignore[union-attr]


@pytest.fixture
def listed(scores: dict[Path, float], phantom_data: Path, write_cases: WriteCases) -> Listed:
    """Return a function that lists every phantom as a case, positive where a rule on score and true label says so."""

    def write(rule: Callable[[float, str], bool], count: int = 320) -> Path:
        rows: Rows = []
        for number, (path, score) in enumerate(list(scores.items())[:count]):
            name = path.relative_to(phantom_data).as_posix()
            rows.append([f"c{number}", name, "positive" if rule(score, path.parent.name) else "negative"])
        return write_cases(rows, header="case,image,label")

    return write


@pytest.fixture
def shifted(listed: Listed) -> Path:
    """A list for which the model's cut-off of 0.5 is far too low."""
    return listed(lambda score, _: score >= 0.93)


@pytest.fixture
def alike(listed: Listed) -> Path:
    """A list with the true labels of the phantoms."""
    return listed(lambda _, label: label == "1")
