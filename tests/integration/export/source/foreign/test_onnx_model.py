"""ONNX files as PyTorch and scikit-learn write them: the device's network gives their own answers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import helper

from export.errors import ExportError
from export.source.foreign.onnx_model import read
from export.source.heads import FinalActivation
from tests.integration.export.source.foreign.graphs import scikit_like, spec, tensors, torch_like


def _run(content: bytes, images: Any, name: str) -> Any:
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    return np.concatenate([session.run(None, {name: images[i : i + 1]})[0] for i in range(len(images))])


def _softmax(logits: Any) -> Any:
    exp = np.exp(logits - logits.max(axis=1, keepdims=True))
    return exp / exp.sum(axis=1, keepdims=True)


@pytest.mark.parametrize(("end", "opset"), [("", 11), ("", 20), ("Softmax", 12), ("Softmax", 17), ("LogSoftmax", 17)])
def test_channels_first_becomes_channels_last_and_the_end_is_removed(tmp_path: Path, end: str, opset: int) -> None:
    path, images = torch_like(tmp_path / "m.onnx", end=end, opset=opset), tensors()
    given = read(path, spec(), None)
    theirs = _run(
        path.read_bytes(), images.transpose(0, 3, 1, 2), "input.1"
    )  # the file itself, not what was made of it
    logits = _run(given.network, images, "image")
    ours = {"": logits, "Softmax": _softmax(logits), "LogSoftmax": np.log(_softmax(logits))}[end]
    assert np.abs(ours - theirs).max() < 1e-5
    assert given.end is (FinalActivation.SOFTMAX if end else FinalActivation.LOGITS)
    assert np.abs(given.scores(images) - theirs).max() == 0
    assert np.abs(given.logits(images) - logits).max() < 1e-5
    model = onnx.load_from_string(given.network)
    assert [entry.version for entry in model.opset_import] == [max(opset, 17) if opset < 13 else opset]
    assert any("channels first" in text for text in given.changes)


def test_weights_in_another_file_are_read_and_missing_ones_are_named(tmp_path: Path) -> None:
    path, images = torch_like(tmp_path / "m.onnx", external=True), tensors()
    given = read(path, spec(), None)
    assert np.abs(_run(given.network, images, "image") - given.scores(images)).max() < 1e-6
    (tmp_path / "m.onnx.data").unlink()
    with pytest.raises(ExportError, match=r"m\.onnx\.data is missing.*Copy them there again"):
        read(path, spec(), None)


@pytest.mark.parametrize("labels", [2, 3])
def test_a_scikit_classifier_becomes_a_matrix_product_with_its_probabilities(tmp_path: Path, labels: int) -> None:
    path, images = scikit_like(tmp_path / "m.onnx", labels), tensors()
    described = spec(labels=["benign", "malignant", "normal"][:labels])
    given = read(path, described, None)
    session = onnxruntime.InferenceSession(path.read_bytes(), providers=["CPUExecutionProvider"])
    rows = session.run(["output_probability"], {"X": images.reshape(len(images), -1)})[0]
    theirs = np.array([[row[label] for label in described.labels] for row in rows])
    assert np.abs(_softmax(_run(given.network, images, "image")) - theirs).max() < 1e-5
    assert given.labels == described.labels
    assert {node.domain for node in onnx.load_from_string(given.network).graph.node} == {""}


def test_an_output_is_chosen_by_name(tmp_path: Path) -> None:
    path = torch_like(tmp_path / "m.onnx", two=True)
    with pytest.raises(ExportError, match=r"2 outputs \(logits: 3 values, /f/5/out: 64 values\).*--output logits"):
        read(path, spec(), None)
    with pytest.raises(ExportError, match=r"no output score, expected one of logits, /f/5/out"):
        read(path, spec(), "score")
    assert len(onnx.load_from_string(read(path, spec(), "logits").network).graph.output) == 1


def _custom(model: onnx.ModelProto) -> None:
    model.graph.node[1].domain, model.graph.node[1].op_type = "my.ops", "Swish"
    model.opset_import.append(helper.make_opsetid("my.ops", 1))


def _of_bytes(model: onnx.ModelProto) -> None:
    model.graph.input[0].type.tensor_type.elem_type = onnx.TensorProto.UINT8


def _of_eight(model: onnx.ModelProto) -> None:
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 8


def _larger(model: onnx.ModelProto) -> None:
    model.graph.input[0].type.tensor_type.shape.dim[2].dim_value = 99


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_custom, r"operator my\.ops\.Swish in node /f/1/Relu.*without custom operators"),
        (_of_bytes, r"input input\.1 of uint8, expected float32"),
        (_of_eight, r"a batch of 8 fixed.*dynamic batch axis"),
        (_larger, r"an input of 3×99×16, the spec's steps give 16×16×3"),
    ],
)
def test_what_does_not_fit_is_refused_in_one_line(
    tmp_path: Path, change: Callable[[onnx.ModelProto], None], message: str
) -> None:
    model = onnx.load(torch_like(tmp_path / "m.onnx"))
    change(model)
    onnx.save(model, tmp_path / "changed.onnx")
    with pytest.raises(ExportError, match=message) as caught:
        read(tmp_path / "changed.onnx", spec(), None)
    assert len(str(caught.value).splitlines()) == 1


def test_a_file_that_is_cut_is_called_that(tmp_path: Path) -> None:
    data = torch_like(tmp_path / "m.onnx").read_bytes()
    for share in (0.02, 0.5, 0.99):
        (tmp_path / "cut.onnx").write_bytes(data[: int(len(data) * share)])
        with pytest.raises(ExportError, match=r"truncated or damaged.*Download it again"):
            read(tmp_path / "cut.onnx", spec(), None)
