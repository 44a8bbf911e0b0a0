"""The bundle of recipe phantom-patch: ``python -m tests.phantom_bundle`` writes ``tests/data`` again.

Unit tests take the committed bundle, so that they need no TensorFlow. Tests of training, export and parity make it
themselves, with these functions.
"""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import replace
from pathlib import Path

from tests.places import ROOT

NAME = "phantom-patch"
COMMITTED = ROOT / "tests" / "data" / NAME
CHECKED = ROOT / "tests" / "data" / "phantom-checked"
"""The same network with an out-of-distribution check on its second feature map."""
CALIBRATION_IMAGES = 96


def write_phantoms(folder: Path) -> None:
    """Write 20 made-up patients of 16 patches each, in the published IDC layout."""
    from training.data.datasets.phantoms import PhantomSet, write

    write(PhantomSet(patients=20, patches_per_patient=16, seed=0), folder)


def fit_artifact(phantoms: Path, folder: Path) -> None:
    """Fit the recipe for a dozen epochs; the artifact is ``folder / NAME``."""
    from training.fitting.fit import fit
    from training.recipes import find_recipe

    fit(find_recipe(NAME), phantoms, folder / NAME, epochs=12)


def with_check(artifact: Path, phantoms: Path, folder: Path) -> str:
    """Write a copy of the artifact to ``folder``, with a check on its second feature map; return the layer's name."""
    import keras

    from edge_runtime.serialisation.records import write_record
    from training.artifact import Artifact
    from training.data.splits import Part
    from training.data.tensors import load_tensors
    from training.evaluation.artifact_runner import OpenArtifact
    from training.evaluation.feature_extractor import FeatureExtractor
    from training.evaluation.network_familiarity import fit_network_familiarity
    from training.recipes.recipe import FamiliarLayer

    opened = OpenArtifact(Artifact(artifact), phantoms)
    layer = [each.name for each in opened.network.layers if isinstance(each, keras.layers.ReLU)][1]
    extractor = FeatureExtractor(opened.network, layer, opened.spec.steps)
    train, validation = (
        extractor.see(load_tensors(opened.samples(part.value), opened.spec, label=part.value))
        for part in (Part.TRAIN, Part.VALIDATION)
    )
    known = fit_network_familiarity(train, validation, FamiliarLayer(layer), 0.01).familiarity
    shutil.copytree(artifact, folder)
    write_record(folder / "spec.json", replace(opened.spec, familiarity=known))
    return layer


def export_bundle(artifact: Path, phantoms: Path, folder: Path) -> None:
    """Export the artifact; the bundle is ``folder / NAME``."""
    from export.pipeline import export
    from training.artifact import Artifact
    from training.fitting.calibration_samples import write_samples

    write_samples(artifact, phantoms, folder / "samples" / "samples.csv", CALIBRATION_IMAGES)
    export(Artifact(artifact), folder / "samples", phantoms, folder / NAME, float16=True)


def _write_committed() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_phantoms(folder / "phantoms")
        fit_artifact(folder / "phantoms", folder / "artifact")
        export_bundle(folder / "artifact" / NAME, folder / "phantoms", folder)
        _replace(COMMITTED, folder / NAME)
        with_check(folder / "artifact" / NAME, folder / "phantoms", folder / "checked" / "artifact")
        export_bundle(folder / "checked" / "artifact", folder / "phantoms", folder / "checked")
        _replace(CHECKED, folder / "checked" / NAME)


def _replace(committed: Path, made: Path) -> None:
    shutil.rmtree(committed, ignore_errors=True)
    shutil.copytree(made, committed)


if __name__ == "__main__":
    _write_committed()
