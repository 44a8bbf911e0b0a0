"""What the tests of export share: a calibration list, an artifact to damage, and converters that only copy."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import export.conversion
import export.pipeline
import export.quantisation.search
import export.validation.heatmaps
from edge_runtime.bundle.manifest import Format, Precision
from training.artifact import Artifact
from training.fitting.calibration_samples import write_samples

MODELS = {f"model.{p.value}.{f.value}" for f in Format for p in Precision} - {"model.float16.onnx"}
IMAGES = 96  # as many as the shared bundle was calibrated on
Tamper = Callable[[Path], None]


@pytest.fixture(scope="session")
def calibration(phantom_artifact: Path, phantom_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the list of training phantoms that the shared bundle was calibrated on."""
    folder = tmp_path_factory.mktemp("calibration") / "samples"
    write_samples(phantom_artifact, phantom_data, folder / "samples.csv", IMAGES)
    return folder


@pytest.fixture
def artifact(phantom_artifact: Path, tmp_path: Path) -> Artifact:
    """A copy of the artifact that a test may damage."""
    return Artifact(shutil.copytree(phantom_artifact, tmp_path / "artifact"))


@pytest.fixture
def converted(phantom_bundle: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Tamper]:
    """In place of the converters, copy the files they once wrote; tamper with those named in the returned dict."""
    tampers: dict[str, Tamper] = {}

    def copy(job: Callable[..., None], *args: Any) -> None:
        out = Path(args[-1])
        if out.name in MODELS:
            shutil.copyfile(phantom_bundle / out.name, out)
            tampers.get(out.name, lambda _: None)(out)
        elif out.parent.name not in {form.value for form in Format}:  # what the ladder measures, no copy needs
            job(*args)

    for module in (export.pipeline, export.conversion, export.quantisation.search, export.validation.heatmaps):
        monkeypatch.setattr(module, "in_own_process", copy)
    return tampers


@pytest.fixture(scope="session")
def phantom_bundle(exported_bundle: Path) -> Path:
    """The bundle as ``export`` writes it today."""
    return exported_bundle
