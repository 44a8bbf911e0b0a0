"""A spec with a check on network features: files with moments like Keras', bands, figures, and clear refusals."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from edge_runtime.bundle.bundle import find
from edge_runtime.bundle.manifest import FileEntry, Format, Manifest, Precision, Role
from edge_runtime.bundle.spec import ModelSpec
from edge_runtime.inference.backends.base import MOMENTS, Runtime
from edge_runtime.inference.backends.registry import open_model
from edge_runtime.ood.network_features import NetworkFamiliarity, features
from edge_runtime.predictor import Predictor
from edge_runtime.serialisation.records import write_record
from export.conversion import Logits
from export.converters import moments
from export.errors import ExportError, ParityError
from export.pipeline import export
from export.validation import familiarity
from export.validation.parity import RUNTIMES, FileLogits
from tests.phantom_bundle import CALIBRATION_IMAGES, CHECKED, with_check
from training.artifact import Artifact
from training.cli.decide import decide as command
from training.cli.familiarity import familiarity as measure_command
from training.metrics import evaluation
from training.recipes.recipe import FamiliarLayer


@pytest.fixture(scope="module")
def checked(phantom_artifact: Path, phantom_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("checked") / "artifact"
    with_check(phantom_artifact, phantom_data, folder)
    return folder


@pytest.fixture(scope="module")
def bundle(checked: Path, phantom_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    from tests.phantom_bundle import NAME, export_bundle

    folder = tmp_path_factory.mktemp("bundle")
    export_bundle(checked, phantom_data, folder)
    return folder / NAME


def spec_of(folder: Path) -> tuple[ModelSpec, NetworkFamiliarity]:
    spec = Artifact(folder).spec()
    assert spec.network_check is not None
    return spec, spec.network_check


def test_every_file_gives_the_features_of_the_keras_model(bundle: Path, checked: Path) -> None:
    import keras

    from training.evaluation.feature_extractor import FeatureExtractor

    _, check = spec_of(checked)
    network = keras.models.load_model(checked / "model.keras", compile=False)
    tensors = np.random.default_rng(4).random((8, *network.inputs[0].shape[1:])).astype(np.float32)
    expected = FeatureExtractor(network, check.layer, spec_of(checked)[0].steps).of_tensors(tensors)
    for entry in find(bundle).manifest.of_role(Role.MODEL):
        assert entry.format is not None
        backend = open_model((bundle / entry.name).read_bytes(), RUNTIMES[entry.format])
        given = backend.run_with_moments(tensors)[1]
        assert given is not None
        tolerance = 2e-5 if entry.precision is Precision.FLOAT32 else 0.05
        np.testing.assert_allclose(features(given), expected, atol=tolerance * expected.max(), err_msg=entry.name)


def test_manifest_and_card_hold_the_band_and_the_figures_of_each_file(bundle: Path) -> None:
    manifest = find(bundle).manifest
    rows = manifest.familiarity_parity or ()
    assert {row.file for row in rows} == {entry.name for entry in manifest.of_role(Role.MODEL)}
    assert manifest.familiarity_band is not None and 0 < manifest.familiarity_band < 0.5
    for row in rows:
        assert row.difference_mean <= row.difference_max and row.flips_guarded == 0, row
        assert "float32" not in row.file or (row.difference_max <= familiarity.EXACT and row.reruns == 0), row
    card = (bundle / "MODEL_CARD.md").read_text(encoding="utf-8")
    assert "### Out-of-distribution distances" in card and f"layer `{manifest.spec.network_check.layer}`" in card  # type: ignore[union-attr]


def test_the_file_without_a_check_has_one_output_and_the_other_computes_the_same(
    bundle: Path, exported_bundle: Path
) -> None:
    onnx = pytest.importorskip("onnx")
    plain = onnx.load(exported_bundle / "model.int8.onnx").graph
    graph = onnx.load(bundle / "model.int8.onnx").graph
    assert [output.name for output in plain.output] == ["logits"]
    assert [output.name for output in graph.output] == ["logits", MOMENTS]
    assert not any(node.name.startswith(MOMENTS) for node in plain.node)
    tensors = np.random.default_rng(5).random((4, 50, 50, 3)).astype(np.float32)
    for form, runtime in RUNTIMES.items():
        for precision in (Precision.INT8, Precision.FLOAT32):
            paths = (folder / f"model.{precision.value}.{form.value}" for folder in (bundle, exported_bundle))
            ours, theirs = (open_model(path.read_bytes(), runtime).run(tensors) for path in paths)
            np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("form", Format)
def test_an_error_is_subtracted_from_the_moments_alone(bundle: Path, form: Format, tmp_path: Path) -> None:
    path = Path(shutil.copy(bundle / f"model.float32.{form.value}", tmp_path))
    tensors = np.random.default_rng(7).random((2, 50, 50, 3)).astype(np.float32)
    before = open_model(path.read_bytes(), RUNTIMES[form]).run_with_moments(tensors)
    assert before[1] is not None
    error = np.linspace(-0.1, 0.1, before[1].shape[1], dtype=np.float32)
    {Format.TFLITE: moments.correct_tflite, Format.ONNX: moments.correct_onnx}[form](path, error)
    logits, after = open_model(path.read_bytes(), RUNTIMES[form]).run_with_moments(tensors)
    assert after is not None
    np.testing.assert_array_equal(logits, before[0])
    np.testing.assert_allclose(after, before[1] - error, atol=1e-6)


def test_int8_files_have_no_mean_error_on_the_calibration_images(bundle: Path) -> None:
    rows = {row.file: row for row in find(bundle).manifest.familiarity_parity or ()}
    assert rows["model.int8.tflite"].difference_mean < 0.02 and rows["model.int8.onnx"].difference_mean < 0.02


def test_the_committed_bundle_is_what_export_writes_today(bundle: Path) -> None:
    def shape(manifest: Manifest) -> list[object]:
        files = [(entry.name, entry.role, entry.format, entry.precision) for entry in manifest.files]
        rows = [(row.file, row.runtime, row.images) for row in manifest.familiarity_parity or ()]
        check = manifest.spec.network_check
        return [files, rows, check is not None and (check.channels, len(check.deviations))]

    assert shape(find(CHECKED).manifest) == shape(find(bundle).manifest), "run python -m tests.phantom_bundle"


def test_a_layer_that_is_missing_or_no_map_is_refused(
    checked: Path, phantom_data: Path, calibration: Path, tmp_path: Path
) -> None:
    spec, check = spec_of(checked)
    folder = Path(shutil.copytree(checked, tmp_path / "artifact"))
    for changed, message in (
        (replace(check, layer="none"), "found no feature map 'none'"),
        (replace(check, layer="logits"), "found no feature map 'logits'"),
    ):
        write_record(folder / "spec.json", replace(spec, familiarity=changed))
        with pytest.raises(ExportError, match=message):
            export(Artifact(folder), calibration, phantom_data, tmp_path / "out")
        assert not (tmp_path / "out").exists()


def found(given: Logits, precision: Precision) -> FileLogits:
    entry = FileEntry("model.tflite", Role.MODEL, "0" * 64, 1, Format.TFLITE, precision)
    return FileLogits(entry, Runtime.LITERT, np.zeros((len(given), 2), np.float32), given)


def test_distances_that_differ_too_much_are_refused(checked: Path) -> None:
    spec, check = spec_of(checked)
    near = np.tile(np.array(check.mean), (1000, 1))
    near[:, : check.channels] += np.random.default_rng(6).normal(0, 0.1, (1000, check.channels))
    sound = np.concatenate(
        [near[:, : check.channels], near[:, : check.channels] ** 2 + near[:, check.channels :] ** 2], axis=1
    ).astype(np.float32)
    limit = float(np.median(check.distances_of(sound)))
    spec = replace(spec, familiarity=replace(check, limit=limit))
    check = replace(check, limit=limit)
    exact = check.shares(sound)
    for precision in (Precision.FLOAT32, Precision.INT8):
        row = familiarity.measure(found(sound, precision), exact, exact, exact, spec, 0.01)
        assert (row.difference_max, row.flips) == (0.0, 0)
    moved = sound * np.float32(1.05)
    ours = check.shares(moved)
    with pytest.raises(ParityError, match=r"relative \|Δ distance\| is"):
        familiarity.measure(found(moved, Precision.FLOAT32), ours, exact, exact, spec, 0.01)
    with pytest.raises(ParityError, match="that pass the out-of-distribution check in one of file"):
        familiarity.measure(found(moved, Precision.INT8), ours, exact, exact, spec, 0.01)


def test_the_band_holds_every_image_on_which_the_files_differ() -> None:
    exact, rounded = np.array([0.5, 0.97, 1.02, 3.0]), np.array([0.51, 1.04, 0.99, 3.1])
    band = familiarity.band([(rounded, exact)])
    assert (np.abs(rounded - 1)[[1, 2]] <= band).all() and band == pytest.approx(0.07 / 0.97, abs=1e-5)
    assert familiarity.band([]) == 0.0


def test_decide_fits_the_check_that_the_recipe_names_and_familiarity_measures_it(
    checked: Path, phantom_artifact: Path, phantom_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from training.evaluation import artifact_runner, out_of_distribution
    from training.recipes import find_recipe

    _, check = spec_of(checked)
    recipe = replace(find_recipe("phantom-patch"), familiar=FamiliarLayer(check.layer))
    for module in (artifact_runner, out_of_distribution):
        monkeypatch.setattr(module, "find_recipe", lambda _: recipe)
    monkeypatch.setattr(evaluation, "RESAMPLES", 50)
    out = tmp_path / "decided"
    arguments = [str(phantom_artifact), "--data", str(phantom_data), "--out", str(out), "--familiar", "0.01"]
    done = CliRunner().invoke(command, arguments, catch_exceptions=False)
    assert done.exit_code == 0, done.stderr
    assert Artifact(out).spec().familiarity == check
    assert f"features of layer {check.layer}" in Artifact(out).measured().training.policy
    for artifact in (out, phantom_artifact):
        arguments = [str(artifact), "--data", str(phantom_data), "--most", "20"]
        done = CliRunner().invoke(measure_command, arguments, catch_exceptions=False)
        assert done.exit_code == 0, done.stderr
        lines = {line[2:34].strip(): line.split() for line in done.stdout.splitlines()[2:]}
        assert float(lines["own test images"][5]) < 0.2 and "uniform noise" in lines
        assert all(float(lines[kind][-3]) == 1.0 for kind in ("uniform noise", "blank frames")), done.stdout
        assert f"limit {check.limit:g}" in done.stdout


def test_predictions_are_the_same_in_both_formats(bundle: Path, phantom_data: Path) -> None:
    images = sorted(phantom_data.rglob("*.png"))[:CALIBRATION_IMAGES]
    answers = []
    for runtime in RUNTIMES.values():
        with Predictor(find(bundle), runtime, Precision.INT8, 1) as predictor:
            answers.append([predictor.predict(path) for path in images])
    for one, other in zip(*answers, strict=True):
        assert one.verdict.decision is other.verdict.decision
        assert one.familiarity == pytest.approx(other.familiarity, rel=0.1)
