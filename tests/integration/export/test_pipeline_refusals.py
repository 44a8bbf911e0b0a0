"""What is not proven leaves nothing behind: tampered files, missing parts, tolerances that are not met."""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from edge_runtime.bundle.manifest import Format, Precision
from export.errors import ConversionError, ExportError, ParityError
from export.pipeline import export as run_export
from tests.integration.export.networks import without_weights
from training.artifact import Artifact
from training.errors import ArtifactError

MODELS = {f"model.{p.value}.{f.value}" for f in Format for p in Precision} - {"model.float16.onnx"}
Tamper = Callable[[Path], None]


def _edit_json(path: Path, change: Callable[[Any], Any]) -> None:
    value = json.loads(path.read_text(encoding="utf-8"))
    change(value)
    path.write_text(json.dumps(value), encoding="utf-8")


def _with_other_last_node(operator: str, **attributes: Any) -> Tamper:
    def change(path: Path) -> None:
        model = onnx.load(path)
        graph = model.graph
        name = graph.output[0].name
        for node in graph.node:
            node.output[:] = ["before" if out == name else out for out in node.output]
        inputs = ["before", "before"] if operator == "Concat" else ["before"]
        graph.node.append(onnx.helper.make_node(operator, inputs, [name], **attributes))
        if operator == "Concat":
            graph.output[0].type.tensor_type.shape.dim[1].dim_value *= 2
        onnx.save(model, path)

    return change


def _outside(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


@pytest.mark.parametrize(
    ("name", "tamper", "says"),
    [
        (
            "model.float32.onnx",
            without_weights(np.float32),
            r"relative \|Δ logit\| of [\d.e+-]+, expected 0.0001 at most",
        ),
        ("model.float32.onnx", _with_other_last_node("Sigmoid"), r"relative \|Δ logit\| of"),
        (
            "model.float32.onnx",
            _with_other_last_node("Concat", axis=1),
            r"shape \(\d+, 4\), the source model gives \(\d+, 2",
        ),
        ("model.float32.onnx", _with_other_last_node("Log"), "logits are not finite"),
        (
            "model.float32.tflite",
            lambda p: shutil.copyfile(p.with_name("model.int8.tflite"), p),
            r"relative \|Δ logit\| of",
        ),
    ],
    ids=["no weights", "ends at the sigmoid", "four outputs", "not finite", "another's file"],
)
def test_a_file_that_answers_otherwise_than_keras_is_refused_and_nothing_is_left(
    artifact: Artifact, calibration: Path, phantom_data: Path, tmp_path: Path, converted: dict[str, Tamper],
    phantom_bundle: Path, name: str, tamper: Tamper, says: str,
) -> None:  # fmt: skip
    def change(path: Path) -> None:
        for other in MODELS:
            if not path.with_name(other).exists():
                shutil.copyfile(phantom_bundle / other, path.with_name(other))
        tamper(path)

    converted[name] = change
    before = _outside(tmp_path)
    with pytest.raises(ParityError, match=rf"{name}( on \w+)?: .*{says}"):
        run_export(artifact, calibration, phantom_data, tmp_path / "out")
    assert _outside(tmp_path) == before


def test_a_tolerance_that_float32_cannot_meet_refuses_the_bundle(
    artifact: Artifact, calibration: Path, phantom_data: Path, tmp_path: Path, converted: dict[str, Tamper]
) -> None:
    _edit_json(artifact.folder / "spec.json", lambda spec: spec["tolerance"].update({"float32_logit_max": 1e-12}))
    before = _outside(tmp_path)
    with pytest.raises(
        ParityError, match=r"expected 1e-12 at most\. Nothing was written\. So small a difference"
    ) as told:
        run_export(artifact, calibration, phantom_data, tmp_path / "out")
    found, named = re.findall(r"of ([\d.e-]+), expected|If ([\d.e-]+) in a logit", str(told.value))
    assert float(found[0]) <= float(named[1]) < 10 * float(found[0]), "the tolerance that it names must be enough"
    assert _outside(tmp_path) == before


@pytest.mark.parametrize("there", ["file", "folder"])
def test_what_stands_at_out_is_never_overwritten(artifact: Artifact, tmp_path: Path, there: str) -> None:
    out = tmp_path / "out"
    out.mkdir() if there == "folder" else out.write_text("mine")
    with pytest.raises(ExportError, match="already exists and is not overwritten; give another --out"):
        run_export(artifact, tmp_path, None, out)
    assert out.is_dir() or out.read_text() == "mine"


@pytest.mark.parametrize("name", ["spec.json", "split.csv", "metrics.json"])
def test_an_incomplete_artifact_is_refused_and_nothing_is_left(
    artifact: Artifact, calibration: Path, phantom_data: Path, tmp_path: Path, converted: dict[str, Tamper], name: str
) -> None:
    (artifact.folder / name).unlink()
    before = _outside(tmp_path)
    with pytest.raises(ArtifactError, match=f"{name}: missing"):
        run_export(artifact, calibration, phantom_data, tmp_path / "out")
    assert _outside(tmp_path) == before


def test_an_artifact_without_its_network_is_refused_and_nothing_is_left(
    artifact: Artifact, calibration: Path, phantom_data: Path, tmp_path: Path
) -> None:
    artifact.model_path.unlink()
    before = _outside(tmp_path)
    with pytest.raises((ArtifactError, ConversionError), match=r"model\.keras"):
        run_export(artifact, calibration, phantom_data, tmp_path / "out")
    assert _outside(tmp_path) == before
