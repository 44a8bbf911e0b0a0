"""The bundle of recipe phantom-patch: ``python -m tests.phantom_bundle`` writes ``tests/data`` again.

Unit tests take the committed bundle, so that they need no TensorFlow. Tests of training, export and parity make it
themselves, with these functions.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from tests.places import ROOT

NAME = "phantom-patch"
COMMITTED = ROOT / "tests" / "data" / NAME
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
        shutil.rmtree(COMMITTED, ignore_errors=True)
        shutil.copytree(folder / NAME, COMMITTED)


if __name__ == "__main__":
    _write_committed()
