"""``python -m export reference``: the distributions of a bundle's own answers, and no other byte of the bundle."""

from __future__ import annotations

import json
import shutil
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest

from edge_runtime import Predictor
from edge_runtime.bundle.bundle import find
from edge_runtime.bundle.manifest_file import parse_manifest, parse_runnable
from edge_runtime.errors import DriftError
from export.model_card import model_card
from export.reference import Validation, add_if_enough, add_reference
from training.data.datasets import Sample

PATIENTS = 24


@pytest.fixture
def bundle(phantom_bundle: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(phantom_bundle, tmp_path / "bundle"))


def validation(patches: list[Path], patients: int, damaged: Path | None = None) -> Validation:
    """Patches as images of so many patients, each with several."""
    paths = [*patches, *([] if damaged is None else [damaged])]
    samples = (Sample(f"{n}", path, 0, f"patient {n % patients}", None) for n, path in enumerate(paths))
    return Validation(tuple(samples), "patients")


def test_the_reference_is_of_the_answers_and_only_manifest_and_card_change(
    bundle: Path, phantom_patches: list[Path], tmp_path: Path
) -> None:
    bad = tmp_path / "bad.png"
    bad.write_bytes(b"no image")
    before = {path.name: path.read_bytes() for path in bundle.iterdir()}
    chosen = validation(phantom_patches, PATIENTS, bad)
    manifest = add_reference(bundle, chosen)
    after = {path.name: path.read_bytes() for path in bundle.iterdir()}
    assert {name for name in before | after if before.get(name) != after.get(name)} == {"bundle.json", "MODEL_CARD.md"}
    found = manifest.reference_distribution
    assert found is not None and (found.patients, found.images) == (PATIENTS, len(phantom_patches) + 1)
    scores = defaultdict(list)
    with Predictor.load(bundle) as predictor:
        for sample in chosen.samples[:-1]:
            scores[sample.group].append(predictor.predict(sample.path).verdict.score)
    (score,) = (row for row in found.quantities if row.name == "score")
    means = [float(np.mean(each)) for each in scores.values()]
    assert score.patient_quantiles[0] == pytest.approx(min(means), rel=1e-5)
    assert score.patient_quantiles[-1] == pytest.approx(max(means), rel=1e-5)
    assert score.patient_quantiles[5] == pytest.approx(float(np.median(means)), abs=0.02)
    assert score.position.mean == pytest.approx(0.5, abs=0.03)
    assert {row.name: row.count for row in found.rates}["failed"] == 1
    assert model_card(manifest) == (bundle / "MODEL_CARD.md").read_text(encoding="utf-8")
    assert "### Reference for drift" in model_card(manifest)
    assert find(bundle).verify() == len(manifest.files)


def test_repeating_it_gives_the_same_bytes(bundle: Path, phantom_patches: list[Path]) -> None:
    chosen = validation(phantom_patches, PATIENTS)
    add_reference(bundle, chosen)
    first = (bundle / "bundle.json").read_bytes()
    add_reference(bundle, chosen)
    assert (bundle / "bundle.json").read_bytes() == first


def test_a_prediction_does_not_read_it_and_a_bundle_without_it_stays_valid(
    bundle: Path, phantom_patches: list[Path]
) -> None:
    old = (bundle / "bundle.json").read_bytes()
    assert parse_manifest(old, "old").reference_distribution is None
    add_reference(bundle, validation(phantom_patches, PATIENTS))
    document = json.loads((bundle / "bundle.json").read_text(encoding="utf-8"))
    document["reference_distribution"] = "nonsense"
    parse_runnable(json.dumps(document).encode(), "changed")


def test_too_few_patients_give_no_reference(
    bundle: Path, phantom_patches: list[Path], caplog: pytest.LogCaptureFixture
) -> None:
    before = find(bundle).manifest
    assert add_if_enough(bundle, validation(phantom_patches, 12), before) is before
    assert "found 12 patients in the validation part, expected 20 or more" in caplog.text
    with pytest.raises(DriftError, match="found answers on 5 patients"):
        add_reference(bundle, validation(phantom_patches, 5))
