"""The commands: a model made elsewhere becomes a bundle, and whatever contradicts is one line and nothing on disk."""

from __future__ import annotations

import dataclasses
import json
import re
import shutil
import subprocess
import sys
import time
import typing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result
from PIL import Image

from edge_runtime import Predictor
from edge_runtime.bundle.bundle import find
from edge_runtime.bundle.manifest import Precision
from edge_runtime.bundle.policy import DecisionPolicy, Head
from edge_runtime.bundle.spec import ModelSpec, ParityTolerance
from edge_runtime.preprocessing.steps import Step
from edge_runtime.serialisation.records import from_json, to_dict
from export.cli import main
from tests.places import ROOT
from training.recipes import RECIPES

DOCS = (ROOT / "docs" / "reference" / "spec.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"```json\n(.*?)```", DOCS, flags=re.DOTALL)
SIDE = 12


def _spec(**changed: Any) -> dict[str, Any]:
    """The first example of the documentation, for a small network."""
    plain: dict[str, Any] = json.loads(EXAMPLES[0]) | {"min_side_px": 8}
    plain["steps"][1] |= {"width_px": SIDE, "height_px": SIDE}
    plain["tolerance"] = {"int8_score_mean": 0.1, "int8_flips_per_1000": 200}  # it is not fitted to anything
    return plain | changed


def _images(folder: Path, seed: int, count: int) -> Path:
    folder.mkdir()
    for i in range(count):
        pixels = np.random.default_rng([seed, i]).integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{i:03}.png")
    return folder


def _network() -> Any:
    import keras
    from keras import layers

    keras.utils.set_random_seed(6)
    inputs = keras.Input((SIDE, SIDE, 3))
    x = layers.BatchNormalization()(layers.Conv2D(8, 3, activation="relu")(inputs))
    x = layers.Conv2D(8, 3, activation="relu")(layers.MaxPooling2D()(x))
    return keras.Model(inputs, layers.Dense(3, activation="softmax")(layers.Flatten()(x)))


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with model.h5, spec.json, and images for calibration and parity."""
    folder = tmp_path_factory.mktemp("own")
    _network().save(folder / "model.h5")
    (folder / "spec.json").write_text(json.dumps(_spec()), encoding="utf-8")
    _images(folder / "cal", 1, 32)
    _images(folder / "par", 2, 40)
    return folder


def _arguments(own: Path, out: Path, **changed: Path) -> list[str]:
    options = {"spec": own / "spec.json", "calibration": own / "cal", "parity": own / "par", "out": out} | changed
    return [str(own / "model.h5"), *(part for name, path in options.items() for part in (f"--{name}", str(path)))]


def _run(*arguments: str) -> Result:
    return CliRunner().invoke(main, list(arguments))


def test_a_model_made_elsewhere_becomes_a_bundle_that_answers_as_keras_does(own: Path, tmp_path: Path) -> None:
    done = _run(*_arguments(own, tmp_path / "bundle"))
    assert done.exit_code == 0, done.output
    manifest = find(tmp_path / "bundle").manifest
    assert manifest.spec == from_json(ModelSpec, (own / "spec.json").read_text(), "spec.json")
    assert (manifest.training, manifest.evaluations) == (None, ())
    said = "40 images in par, which calibration never saw; int8 ranges from 32 of images in cal"
    assert manifest.parity_source == said
    assert said in done.stdout
    assert "Its maker states its training data" in (tmp_path / "bundle" / "MODEL_CARD.md").read_text(encoding="utf-8")
    paths = sorted((own / "par").iterdir())[:6]
    pixels = np.stack([np.asarray(Image.open(path)) for path in paths]).astype(np.float32)
    expected = np.asarray(_network()(pixels / np.float32(127.5) - np.float32(1)))
    with Predictor.load(tmp_path / "bundle", precision=Precision.FLOAT32) as predictor:
        found = [list(predictor.predict(path).verdict.scores.values()) for path in paths]
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_a_dry_run_tells_what_would_ship_and_writes_nothing(own: Path, tmp_path: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in own.rglob("*")}
    done = _run(*_arguments(own, tmp_path / "bundle"), "--dry-run")
    assert done.exit_code == 0, done.output
    assert re.search(r"^  int8 TFLite   will probably ship as 'int8, ranges .* of 40 decisions flip", done.stdout, re.M)
    assert re.search(r"^  int8 ONNX     (will probably ship as 'int8|scheme)", done.stdout, re.M)
    assert re.search(r"for the export with 32 calibration and 40 parity images$", done.stdout, flags=re.MULTILINE)
    assert re.search(r"^  memory        \d+(\.\d)? [MG]B at most, in ", done.stdout, flags=re.MULTILINE)
    assert done.stderr == ""
    assert not list(tmp_path.iterdir())
    assert {path: path.stat().st_mtime_ns for path in own.rglob("*")} == before


def test_a_dry_run_refuses_what_the_export_would_refuse(own: Path, tmp_path: Path) -> None:
    (tmp_path / "bundle").mkdir()
    done = _run(*_arguments(own, tmp_path / "bundle"), "--dry-run")
    assert (done.exit_code, done.stdout) == (1, "")
    assert "already exists and is not overwritten" in done.stderr


def test_what_a_folder_leaves_out_is_named_on_stderr(own: Path, tmp_path: Path) -> None:
    folder = _images(tmp_path / "few", 3, 31)
    (folder / "IM1\x1b").write_bytes(b"\0" * 128 + b"DICM")
    (folder / "._a.png").write_bytes(b"\0\5\x16\7")
    done = _run(*_arguments(own, tmp_path / "bundle", calibration=folder))
    assert done.exit_code == 1
    told, error = done.stderr.splitlines()
    assert told.startswith(f"{folder}: left out: 1 DICOM ({folder}/IM1\\x1b), 1 AppleDouble ({folder}/._a.png).")
    assert "found 31 images" in error


def _few(own: Path, folder: Path) -> dict[str, Path]:
    return {"calibration": _images(folder / "few", 3, 31)}


def _unreadable(own: Path, folder: Path) -> dict[str, Path]:
    _images(folder / "bad", 3, 32)
    (folder / "bad" / "007.png").write_bytes(b"no image")
    return {"calibration": folder / "bad"}


def _other_spec(**changed: Any) -> Any:
    def write(own: Path, folder: Path) -> dict[str, Path]:
        (folder / "spec.json").write_text(json.dumps(_spec(**changed)), encoding="utf-8")
        return {"spec": folder / "spec.json"}

    return write


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (_few, "found 31 images, expected 32 or more"),
        (_unreadable, r"image refused: .*007\.png"),
        (_other_spec(labels=["normal", "inflamed"], positive=["inflamed"]), "found 3 outputs, expected 2"),
        (_other_spec(head="independent_sigmoids"), "ends with softmax; found head independent_sigmoids"),
        (_other_spec(heads="softmax"), "unknown key 'heads'"),
        (_other_spec(head="soft_max"), "found 'soft_max', expected one of softmax, sigmoid"),
    ],
    ids=["few images", "unreadable image", "labels", "head", "key", "unknown head"],
)
def test_what_contradicts_is_one_line_and_nothing_is_left(own: Path, tmp_path: Path, change: Any, says: str) -> None:
    options = change(own, tmp_path)
    before = set(tmp_path.iterdir())
    refused = _run(*_arguments(own, tmp_path / "bundle", **options))
    assert (refused.exit_code, refused.stdout) == (1, "")
    assert re.search(rf"^error: .*{says}", refused.stderr)
    assert len(refused.stderr.splitlines()) == 1
    assert set(tmp_path.iterdir()) == before


def test_labels_that_contradict_stop_and_insist_ships_the_warning(own: Path, tmp_path: Path) -> None:
    """The network's own answers are taken as labels, in another order."""
    labels = _spec()["labels"]
    for path in sorted((own / "par").iterdir()):
        pixels = np.asarray(Image.open(path))[np.newaxis].astype(np.float32)
        answer = int(np.asarray(_network()(pixels / np.float32(127.5) - np.float32(1))).argmax())
        place = tmp_path / "par" / labels[(answer + 1) % len(labels)].upper()
        place.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, place)
    arguments = _arguments(own, tmp_path / "bundle", parity=tmp_path / "par")
    stopped = _run(*arguments)
    assert (stopped.exit_code, stopped.stdout) == (1, "")
    assert re.search(r"^error: .*model\.h5: found .*--insist exports it anyway, with this warning", stopped.stderr)
    assert not (tmp_path / "bundle").exists()
    done = _run(*arguments, "--insist")
    assert done.exit_code == 0, done.output
    [warning] = find(tmp_path / "bundle").manifest.warnings or ()
    assert warning.startswith("found ")
    assert f"**Warning of the export:** {warning}" in (tmp_path / "bundle" / "MODEL_CARD.md").read_text("utf-8")


def test_what_stands_at_out_stays(own: Path, tmp_path: Path) -> None:
    refused = _run(*_arguments(own, tmp_path))
    assert refused.exit_code == 1
    assert "already exists and is not overwritten; give another --out" in refused.stderr


def test_a_model_without_a_spec_is_told_how_to_get_one(own: Path, tmp_path: Path) -> None:
    refused = _run(str(own / "model.h5"), "--calibration", str(own / "cal"), "--out", str(tmp_path / "bundle"))
    assert refused.exit_code == 1
    assert "expected --spec FILE" in refused.stderr
    assert "python -m export spec --from-recipe NAME" in refused.stderr


def test_an_artifact_takes_no_parity_folder(phantom_artifact: Path, own: Path, tmp_path: Path) -> None:
    options = ["--calibration", str(own / "cal"), "--parity", str(own / "par"), "--out", str(tmp_path / "bundle")]
    refused = _run(str(phantom_artifact), *options)
    assert refused.exit_code == 1
    assert "an artifact has its own validation patients. Give --data DIR" in refused.stderr


def test_an_export_that_is_killed_leaves_nothing_at_out(own: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "export", *_arguments(own, tmp_path / "bundle")]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        until = time.monotonic() + 120
        while not list(tmp_path.glob(".bundle.*")):
            assert process.poll() is None and time.monotonic() < until
            time.sleep(0.05)
    finally:
        process.kill()
        process.wait()
    assert [path.name for path in tmp_path.iterdir() if not path.name.startswith(".")] == []


@pytest.mark.parametrize("name", sorted(RECIPES))
def test_a_recipes_spec_is_printed_as_json_that_reads_back(name: str) -> None:
    printed = _run("spec", "--from-recipe", name)
    assert printed.exit_code == 0
    assert from_json(ModelSpec, printed.stdout, "stdout") == RECIPES[name].spec


def test_an_unknown_recipe_is_one_line() -> None:
    refused = _run("spec", "--from-recipe", "absent")
    assert (refused.exit_code, refused.stdout) == (1, "")
    assert refused.stderr.startswith("error: ")


def test_help_names_both_commands() -> None:
    shown = _run("--help").output
    assert "bundle" in shown
    assert "spec" in shown
    assert "--calibration" in _run("bundle", "--help").output


def test_the_documented_examples_are_specs_of_three_heads() -> None:
    specs = [from_json(ModelSpec, text, "docs/reference/spec.md") for text in EXAMPLES]
    assert [spec.head for spec in specs] == [Head.SOFTMAX, Head.SIGMOID, Head.INDEPENDENT_SIGMOIDS]
    assert [spec.channels for spec in specs] == [3, 1, 3]
    assert to_dict(specs[2]) == to_dict(specs[2]) | json.loads(EXAMPLES[2])


def test_every_field_step_and_head_is_documented() -> None:
    steps = typing.get_args(Step)
    records = (ModelSpec, DecisionPolicy, ParityTolerance, *steps)
    names = {field.name for record in records for field in dataclasses.fields(record)}
    names |= {step.KIND for step in steps} | {head.value for head in Head}
    assert sorted(name for name in names if f"`{name}`" not in DOCS) == []
