"""The shipped model files are what their Keras source, calibration list and the published images give again."""

from pathlib import Path

import numpy as np
import pytest

from edge_runtime.backends import Runtime, open_model
from edge_runtime.bundle import SHIPPED, Bundle, find
from edge_runtime.manifest import FileEntry, Format, Precision, Role
from export.pipeline import export
from training.artifact import Artifact

ROOT = Path(__file__).parents[2]
NAME = "idc-patch"

LOGITS = {Precision.FLOAT32: 1e-4, Precision.INT8: 0.25}
"""Largest |Δ logit| where versions or processor differ. Float32: another order of sums. Int8: ranges are float32
sums too; one that rounds otherwise moves a scale by a part in 10^7 and single activations by a step, of which the
logits' own step is some 0.1."""

pytestmark = [pytest.mark.shared, pytest.mark.slow]


@pytest.fixture(scope="module")
def shipped() -> Bundle:
    needed = (SHIPPED / NAME, ROOT / "training" / "models" / NAME, ROOT / "calibration_data" / NAME)
    absent = [str(path.relative_to(ROOT)) for path in needed if not path.is_dir()]
    if absent:
        pytest.skip(f"not in this checkout: {', '.join(absent)}")
    return find(NAME)


@pytest.fixture(scope="module")
def again(shipped: Bundle, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    shared_idc: Path = request.getfixturevalue("shared_idc")  # unpacked only where there is a bundle to compare
    out = tmp_path_factory.mktemp("again") / NAME
    export(Artifact(ROOT / "training" / "models" / NAME), ROOT / "calibration_data" / NAME, shared_idc, out)
    return find(out)


def _differences(shipped: Bundle, again: Bundle) -> list[str]:
    """What made the two bundles differently; the project's own version is embedded nowhere in the files."""
    ours, theirs = again.manifest.toolchain, shipped.manifest.toolchain
    names = sorted((set(ours) | set(theirs)) - {"edge-predict"})
    return [f"{n}: shipped {theirs.get(n)}, here {ours.get(n)}" for n in names if ours.get(n) != theirs.get(n)]


def _entries(bundle: Bundle) -> list[FileEntry]:
    return [entry for entry in bundle.manifest.files if entry.role is Role.MODEL]


def _largest(shipped: Bundle, again: Bundle, entry: FileEntry) -> float:
    tensors = np.random.default_rng(0).random((32, 50, 50, 3), dtype=np.float32)
    runtime = Runtime.LITERT if entry.format is Format.TFLITE else Runtime.ONNXRUNTIME
    twin = next(e for e in _entries(again) if e.name == entry.name)
    logits = [open_model(b.content(e), runtime).run(tensors) for b, e in ((shipped, entry), (again, twin))]
    return float(np.abs(logits[0] - logits[1]).max())


def test_exporting_the_shipped_model_again_gives_its_very_bytes(shipped: Bundle, again: Bundle) -> None:
    """On other versions or another processor the files' logits are compared instead, and the test says so."""
    differences = _differences(shipped, again)
    ours = {entry.name: entry.sha256 for entry in _entries(again)}
    differ = [entry for entry in _entries(shipped) if ours.get(entry.name) != entry.sha256]
    if not differences:
        assert [entry.name for entry in differ] == []
        return
    for entry in differ:
        assert entry.precision is not None
        found = _largest(shipped, again, entry)
        assert found <= LOGITS[entry.precision], f"{entry.name}: {found:.4g}; {differences}"
    if differ:
        names = ", ".join(entry.name for entry in differ)
        pytest.skip(f"logits compared in place of the bytes of {names}, made elsewhere: {'; '.join(differences)}")


def test_the_shipped_figures_are_measured_again_the_same(shipped: Bundle, again: Bundle) -> None:
    for ours, theirs in zip(again.manifest.parity, shipped.manifest.parity, strict=True):
        assert (ours.file, ours.runtime, ours.images) == (theirs.file, theirs.runtime, theirs.images)
        assert abs(ours.flips - theirs.flips) <= 2, (ours, theirs)
        assert abs(ours.score_mean - theirs.score_mean) <= 1e-3, (ours, theirs)
    assert again.manifest.spec == shipped.manifest.spec
    assert abs(again.manifest.guard_band - shipped.manifest.guard_band) <= 0.01
