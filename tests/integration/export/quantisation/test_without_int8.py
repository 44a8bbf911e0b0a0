"""Where no way of quantising serves, no file is called int8; the bundle says why, and float32 answers."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from edge_runtime import Precision, Predictor, Runtime
from edge_runtime.bundle.bundle import find
from edge_runtime.bundle.manifest import Attempt, Format, Manifest
from edge_runtime.bundle.quantisation import without_int8
from edge_runtime.cli.bundle import main as edge_bundle
from edge_runtime.cli.predict import main as edge_predict
from export import conversion
from export.cli.bundle import _summary
from export.pipeline import export
from export.quantisation import search
from export.quantisation.schemes import LADDER
from tests.integration.export.networks import without_weights
from training.artifact import Artifact

Tamper = Callable[[Path], None]
SLOW = "it takes more than 20 times float32's processor time here, expected at most 1.5"


@pytest.fixture
def left_out(
    artifact: Artifact, calibration: Path, phantom_data: Path, tmp_path: Path, converted: dict[str, Tamper],
    monkeypatch: pytest.MonkeyPatch,
) -> Path:  # fmt: skip
    """A bundle of which the int8 ONNX file flips decisions, whatever the way, and the int8 TFLite file is slow."""
    monkeypatch.setattr(search, "LADDER", LADDER[:2])
    monkeypatch.setattr(search, "PEERS", dict.fromkeys(Format, ()))
    monkeypatch.setattr(
        conversion, "too_slow", lambda int8, float32, form, tensor: SLOW if form is Format.TFLITE else None
    )
    converted["model.int8.onnx"] = without_weights(np.int8)
    export(artifact, calibration, phantom_data, tmp_path / "out")
    return tmp_path / "out"


def _said(manifest: Manifest, form: str) -> str:
    return without_int8(manifest.attempts)[f"model.int8.{form}"]


def test_no_file_is_called_int8_and_manifest_card_commands_and_answers_say_so(
    left_out: Path, phantom_patches: list[Path]
) -> None:
    manifest = find(left_out).manifest
    assert {path.name for path in left_out.glob("model.*")} == {"model.float32.tflite", "model.float32.onnx"}
    assert tuple(without_int8(manifest.attempts)) == ("model.int8.tflite", "model.int8.onnx")
    assert _said(manifest, "onnx") == (
        "model.int8.onnx is left out: of 2 ways of quantising, 2 over the tolerance; float32 answers in its place"
    )
    assert "2 no gain over float32 (int8, ranges to the extremes, last bias corrected: " in _said(manifest, "tflite")
    assert SLOW in _said(manifest, "tflite")
    assert {row.file for row in manifest.quantised or ()} == {"model.float32.tflite", "model.float32.onnx"}
    assert (manifest.guard_band, manifest.guard_band_exceptions) == (0.0, None)
    _check_told(left_out, manifest)
    assert _answers(left_out, phantom_patches[0]) == {"litert": "float32", "onnxruntime": "float32"}
    options = ["--model", str(left_out), "--precision", "int8", "--json"]
    done = CliRunner().invoke(edge_predict, [*options, str(phantom_patches[0])])
    assert (done.exit_code, json.loads(done.stdout)["precision"]) == (0, "float32")


def _check_told(left_out: Path, manifest: Manifest) -> None:
    card = (left_out / "MODEL_CARD.md").read_text(encoding="utf-8")
    assert "All files are float32; each decides by itself." in card
    for form in ("tflite", "onnx"):
        said = _said(manifest, form)
        assert f"**{said}.** Tried, in order:" in card
        assert f"  {said}" in _summary(manifest, left_out).splitlines()
        assert f"no int8      {said}" in CliRunner().invoke(edge_bundle, ["info", str(left_out)]).stdout.splitlines()
        assert f"{said}." in CliRunner().invoke(edge_bundle, ["verify", str(left_out)]).stdout.splitlines()
    for attempt in manifest.attempts:
        assert f"- {attempt.text()}" in card


def _answers(bundle: Path, image: Path) -> dict[str, str]:
    """Which precision answered on each interpreter, where int8 is wanted."""
    found = {}
    for runtime in (Runtime.LITERT, Runtime.ONNXRUNTIME):
        with Predictor.load(bundle, backend=runtime, precision=Precision.INT8) as predictor:
            found[runtime.value] = predictor.predict(image).precision
    return found


def test_a_file_that_is_float32_by_another_name_is_left_out_of_one_format_alone(
    artifact: Artifact, calibration: Path, phantom_data: Path, tmp_path: Path, converted: dict[str, Tamper],
    monkeypatch: pytest.MonkeyPatch, phantom_patches: list[Path], phantom_bundle: Path,
) -> None:  # fmt: skip
    monkeypatch.setattr(search, "LADDER", LADDER[:2])
    monkeypatch.setattr(search, "PEERS", dict.fromkeys(Format, ()))
    float32 = (phantom_bundle / "model.float32.tflite").read_bytes()
    converted["model.int8.tflite"] = lambda path: path.write_bytes(float32) and None
    manifest = export(artifact, calibration, phantom_data, tmp_path / "out")
    (why,) = without_int8(manifest.attempts).values()
    assert why.startswith("model.int8.tflite is left out: of 2 ways of quantising, 2 no gain over float32 (")
    assert f"with {len(float32):,} bytes no smaller than float32" in why
    assert [(attempt.images, attempt.passed) for attempt in manifest.attempts if attempt.file.endswith("tflite")] == [
        (0, False),
        (0, False),
    ]
    assert find(tmp_path / "out").verify() == 6
    answers = _answers(tmp_path / "out", phantom_patches[0])  # not within the guard band, where float32 decides
    assert answers == {"litert": "float32", "onnxruntime": "int8"}


def test_a_way_that_was_refused_before_it_was_compared_tells_no_comparison() -> None:
    attempt = Attempt("model.int8.onnx", "int8", size_bytes=9, worthless="no smaller than float32")
    assert attempt.text() == "model.int8.onnx, int8: no gain over float32, no smaller than float32"
