"""Localisation on phantoms whose lesion is said to be the middle: sums agree, likeness tells random networks apart."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from training.artifact import Artifact
from training.cli import main
from training.data.datasets import Sample
from training.data.splits import Part
from training.errors import DatasetError
from training.evaluation import localise
from training.recipes import find_recipe


def _middle(sample: Sample) -> np.ndarray | None:
    """Say that the middle third of every malignant phantom is its lesion."""
    if sample.label == 0:
        return None
    mask = np.zeros((50, 50), bool)
    mask[17:34, 17:34] = True
    return mask


@pytest.fixture
def marked(monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = find_recipe("phantom-patch")
    found = replace(recipe, source=replace(recipe.source, lesions=_middle))
    monkeypatch.setattr(localise, "find_recipe", lambda name: found)


@pytest.mark.usefixtures("marked")
def test_figures_add_up(phantom_artifact: Path, phantom_data: Path) -> None:
    found = localise.localise(Artifact(phantom_artifact), phantom_data, Part.TEST)
    figures = {figure.name: figure for figure in found.figures}
    assert (found.part, found.method) == ("test", "grad-cam")
    assert found.images > found.groups > 1
    assert figures["hits of the centre"].value == 1.0
    assert figures["energy of an even map"].value == pytest.approx((17 / 50) ** 2, abs=1e-4)
    gain = figures["hits of the answer's map"].value - 1.0
    assert figures["gain over the centre"].value == pytest.approx(gain, abs=2e-4)
    for name, figure in figures.items():
        low, high = (-1.0, 1.0) if name.startswith(("gain", "likeness")) else (0.0, 1.0)
        assert figure.low is not None
        assert figure.high is not None
        assert low <= figure.low <= figure.value <= figure.high <= high, name
    assert figures["likeness to the map of random weights"].value < 0.9


@pytest.mark.usefixtures("marked")
def test_figures_are_kept_in_the_artifact_part_by_part(
    phantom_artifact: Path, phantom_data: Path, tmp_path: Path
) -> None:
    folder = shutil.copytree(phantom_artifact, tmp_path / "artifact")
    call = ["localise", str(folder), "--data", str(phantom_data), "--keep"]
    for part in ("validation", "test", "test"):
        result = CliRunner().invoke(main, [*call, "--part", part, "--json"])
        assert result.exit_code == 0, result.output
    kept = Artifact(folder).measured()
    assert [each.part for each in kept.localisations or ()] == ["validation", "test"]
    printed = json.loads(result.stdout.splitlines()[-1])
    assert printed["images"] == kept.localisations[1].images  # type: ignore[index]
    assert replace(kept, localisations=None) == Artifact(phantom_artifact).measured()


def test_a_data_set_without_marked_lesions_is_refused(phantom_artifact: Path, phantom_data: Path) -> None:
    with pytest.raises(DatasetError, match="no marked lesions"):
        localise.localise(Artifact(phantom_artifact), phantom_data, Part.TEST)
