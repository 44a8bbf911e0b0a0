"""A bundle is whole, reproducible, and names what it was made from and measured on."""

import hashlib
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from edge_runtime import __version__
from edge_runtime.bundle.bundle import find
from edge_runtime.bundle.embedded import read_embedded
from edge_runtime.bundle.manifest import SCHEMA, Format, Precision, Role
from export.cli import main
from export.pipeline import export as run_export
from export.quantisation.schemes import LADDER
from training.artifact import Artifact

MODELS = {f"model.{p.value}.{f.value}" for f in Format for p in Precision} - {"model.float16.onnx"}
IMAGES = 96
Tamper = Callable[[Path], None]


def _outside(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_a_bundle_holds_its_models_golden_vectors_a_card_and_a_manifest_that_hashes_them(phantom_bundle: Path) -> None:
    bundle = find(phantom_bundle)
    assert _outside(phantom_bundle) == MODELS | {"golden.npz", "saliency.npz", "MODEL_CARD.md", "bundle.json"}
    for entry in bundle.manifest.files:
        data = (phantom_bundle / entry.name).read_bytes()
        assert (entry.sha256, entry.size_bytes) == (hashlib.sha256(data).hexdigest(), len(data)), entry.name
    models = {e.name for e in bundle.manifest.files if e.role is Role.MODEL}
    assert (
        models == MODELS == {f"model.{e.precision.value}.{e.format.value}" for e in bundle.manifest.files if e.format}
    )
    assert bundle.verify() == len(MODELS) + 3


def test_a_manifest_names_every_way_of_quantising_that_was_tried(phantom_bundle: Path) -> None:
    attempts = find(phantom_bundle).manifest.attempts
    rows = {row.file: row for row in find(phantom_bundle).manifest.parity}
    for name in ("model.int8.tflite", "model.int8.onnx"):
        tried = [attempt for attempt in attempts if attempt.file == name]
        assert [attempt.how for attempt in tried] == [way.text() for way in LADDER[: len(tried)]]
        assert [attempt.passed for attempt in tried] == [False] * (len(tried) - 1) + [True]
        kept, row = tried[-1], rows[name]
        assert (kept.images, kept.flips, kept.score_mean) == (row.images, row.flips, row.score_mean)
        assert 0 < kept.size_bytes <= (phantom_bundle / name).stat().st_size  # the spec goes in afterwards


def test_a_manifest_repeats_the_artifact_and_names_what_made_the_files(
    phantom_bundle: Path, phantom_artifact: Path
) -> None:
    manifest, artifact = find(phantom_bundle).manifest, Artifact(phantom_artifact)
    assert (manifest.schema, manifest.spec, manifest.contract) == (SCHEMA, artifact.spec(), artifact.spec().contract)
    assert manifest.training == artifact.measured().training
    assert manifest.evaluations == artifact.measured().evaluations
    assert manifest.toolchain["edge-predict"] == __version__
    missing = {"python", "processor", "tensorflow", "keras", "tf2onnx", "onnx", "onnxruntime", "ai-edge-litert"}
    assert missing - set(manifest.toolchain) == set()
    assert "not installed" not in manifest.toolchain.values()
    assert {(row.file, row.runtime) for row in manifest.parity} == {
        (name, "litert" if name.endswith("tflite") else "onnxruntime") for name in MODELS
    }
    validation = next(e for e in manifest.evaluations if e.part == "validation")
    assert f"of {validation.groups} validation patients; int8 ranges from {IMAGES} of" in manifest.parity_source
    assert all(0 < row.images <= validation.images for row in manifest.parity)


@pytest.mark.parametrize("name", sorted(MODELS))
def test_every_model_file_carries_the_spec(name: str, phantom_bundle: Path, phantom_artifact: Path) -> None:
    form = Format(name.rsplit(".", 1)[1])
    assert read_embedded((phantom_bundle / name).read_bytes(), form, name) == Artifact(phantom_artifact).spec()


def test_a_bundles_folder_may_be_written_by_its_owner_alone(
    artifact: Artifact, calibration: Path, phantom_data: Path, tmp_path: Path, converted: dict[str, Tamper]
) -> None:
    """Whatever the folder may be that it is put into."""
    (tmp_path / "public").mkdir()
    (tmp_path / "public").chmod(0o1777)
    run_export(artifact, calibration, phantom_data, tmp_path / "public" / "b")
    mode = (tmp_path / "public" / "b").stat().st_mode
    (tmp_path / "plain").mkdir()
    assert mode & 0o7777 == (tmp_path / "plain").stat().st_mode & 0o7777, oct(mode)


def test_exporting_once_more_gives_the_same_bytes(
    phantom_artifact: Path, phantom_data: Path, phantom_bundle: Path, calibration: Path, tmp_path: Path
) -> None:
    run_export(Artifact(phantom_artifact), calibration, phantom_data, tmp_path / "again", float16=True)
    differ = [
        n
        for n in _outside(phantom_bundle)
        if (tmp_path / "again" / n).read_bytes() != (phantom_bundle / n).read_bytes()
    ]
    assert differ == []


def test_without_data_parity_is_measured_on_the_calibration_images(
    artifact: Artifact, phantom_data: Path, tmp_path: Path, converted: dict[str, Tamper]
) -> None:
    folder = tmp_path / "images"
    folder.mkdir()
    for path in sorted(phantom_data.rglob("*.png"))[:40]:
        shutil.copy(path, folder)
    manifest = run_export(artifact, folder, None, tmp_path / "out")
    assert manifest.parity_source == "40 of images in images; int8 ranges from the same images"
    assert [row.images for row in manifest.parity] == [40] * 4


def test_the_command_prints_each_file_and_one_line_for_what_is_wrong(
    artifact: Artifact, calibration: Path, phantom_data: Path, tmp_path: Path, converted: dict[str, Tamper]
) -> None:
    arguments = [str(artifact.folder), "--calibration", str(calibration), "--float16", "--out", str(tmp_path / "out")]
    refused = CliRunner().invoke(main, arguments)
    assert (refused.exit_code, refused.stdout) == (1, "")
    assert refused.stderr.startswith("error: ")
    assert "--data DIR" in refused.stderr
    done = CliRunner().invoke(main, [*arguments, "--data", str(phantom_data)])
    assert done.exit_code == 0, done.output
    for part in (*MODELS, "guard band", "validation patients", str(tmp_path / "out")):
        assert part in done.stdout


def test_a_manifest_says_what_each_file_makes_of_labelled_images(phantom_bundle: Path) -> None:
    manifest = find(phantom_bundle).manifest
    assert [row.subject for row in manifest.labelled] == ["keras", *(row.file for row in manifest.parity)]
    images = manifest.parity[0].images
    keras = manifest.labelled[0]
    for row in manifest.labelled:
        assert (row.images, row.groups) == (images, keras.groups)
        if "float" in row.subject:
            assert row.auroc == pytest.approx(keras.auroc, abs=1e-3)
    assert manifest.guard_band_exceptions == pytest.approx(1 - 0.05 ** (1 / images), rel=1e-3)


def test_a_float16_file_is_half_as_large_and_after_the_band_decides_as_keras_does(phantom_bundle: Path) -> None:
    manifest = find(phantom_bundle).manifest
    sizes = {entry.name: entry.size_bytes for entry in manifest.files}
    assert sizes["model.float16.tflite"] < 0.7 * sizes["model.float32.tflite"]
    row = next(row for row in manifest.parity if row.file == "model.float16.tflite")
    assert row.flips_guarded == 0
    assert 0 < row.logit_mean < 0.05
