"""ONNX and TFLite files made elsewhere become bundles that answer like the given file, in both precisions."""

from __future__ import annotations

import hashlib
import io
import json
import warnings
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result
from PIL import Image

from edge_runtime import Predictor
from edge_runtime.bundle.bundle import find
from edge_runtime.bundle.manifest import Format, Manifest, Precision, Role
from edge_runtime.bundle.saliency import Method
from edge_runtime.selftest.replay import selftest
from edge_runtime.serialisation.records import to_dict
from export.cli import main
from tests.integration.export.source.foreign.graphs import LABELS, SIDE, images, spec, torch_like

COUNT = 32


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Spec, images, an ONNX file like PyTorch's, and TFLite files like MediaPipe's and Teachable Machine's."""
    place = tmp_path_factory.mktemp("foreign")
    (place / "spec.json").write_text(json.dumps(to_dict(spec())), encoding="utf-8")
    images(place / "cal", 1, COUNT)
    images(place / "par", 2, COUNT)
    torch_like(place / "torch.onnx", end="Softmax")
    _write_tflite(place)
    return place


def _write_tflite(place: Path) -> None:
    import keras
    import tensorflow as tf
    from keras import layers

    keras.utils.set_random_seed(1)
    image = keras.Input((SIDE, SIDE, 3), batch_size=1)
    x = layers.Conv2D(64, 3, activation="relu")(layers.Conv2D(16, 3, activation="relu")(image))
    strong = keras.initializers.RandomNormal(stddev=1.0)
    scores = layers.Dense(3, activation="softmax", kernel_initializer=strong)(layers.GlobalAveragePooling2D()(x))
    converter = tf.lite.TFLiteConverter.from_keras_model(keras.Model(image, scores))
    (place / "float.tflite").write_bytes(converter.convert())

    def representative() -> Iterator[list[Any]]:
        for seed in range(8):
            yield [np.random.default_rng(seed).uniform(-1, 1, (1, SIDE, SIDE, 3)).astype(np.float32)]

    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = representative
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = converter.inference_output_type = tf.uint8
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of statistics that are measured here
        (place / "uint8.tflite").write_bytes(converter.convert())


def _labelled(place: Path, source: str, name: str, labels: tuple[str, ...]) -> Path:
    """Append a zip archive with labels.txt, as TFLite's metadata writer does."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("labels.txt", "\n".join(labels) + "\n")
    (place / name).write_bytes((place / source).read_bytes() + packed.getvalue())
    return place / name


def _run(place: Path, model: Path, out: Path, *more: str) -> Result:
    options = [f"--spec={place / 'spec.json'}", f"--calibration={place / 'cal'}", f"--parity={place / 'par'}"]
    return CliRunner().invoke(main, [str(model), *options, f"--out={out}", *more])


def _bundle(place: Path, model: str, out: Path) -> Manifest:
    done = _run(place, place / model, out)
    assert done.exit_code == 0, done.output
    bundle = find(out)
    bundle.verify()
    found = bundle.manifest
    assert isinstance(found, Manifest)
    return found


def _tensors(place: Path) -> Any:
    """Return the parity images as the makers of the files would prepare them: x / 127.5 - 1, without this project."""
    pixels = [np.asarray(Image.open(path), np.float32) for path in sorted((place / "par").iterdir())]
    return np.stack(pixels) / np.float32(127.5) - 1


def _predicted(out: Path, place: Path, precision: Precision) -> Any:
    with Predictor.load(out, precision=precision) as predictor:
        found = [predictor.predict(path).verdict for path in sorted((place / "par").iterdir())]
    return np.array([[verdict.scores[label] for label in LABELS] for verdict in found])


def _of_onnx(path: Path, tensors: Any) -> Any:
    import onnxruntime

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    rows = tensors.transpose(0, 3, 1, 2)
    return np.concatenate([session.run(None, {"input.1": rows[i : i + 1]})[0] for i in range(len(rows))])


def _of_tflite(path: Path, tensors: Any) -> Any:
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(str(path))
    interpreter.allocate_tensors()
    (taken,), (given,) = interpreter.get_input_details(), interpreter.get_output_details()
    rows = []
    for tensor in tensors:
        values = tensor[np.newaxis]
        if taken["dtype"] is not np.float32:
            step, zero = taken["quantization"]
            values = np.clip(np.rint(values / np.float32(step)) + zero, 0, 255).astype(taken["dtype"])
        interpreter.set_tensor(taken["index"], values)
        interpreter.invoke()
        scores = interpreter.get_tensor(given["index"]).astype(np.float32)
        step, zero = given["quantization"] if given["dtype"] is not np.float32 else (1.0, 0)
        rows.append((scores - zero) * step)
    return np.concatenate(rows)


@pytest.mark.parametrize(
    ("name", "form", "oracle"),
    [("torch.onnx", Format.ONNX, _of_onnx), ("float.tflite", Format.TFLITE, _of_tflite)],
)
def test_a_float_file_becomes_a_bundle_in_its_own_format(
    folder: Path, tmp_path: Path, name: str, form: Format, oracle: Callable[[Path, Any], Any]
) -> None:
    found = _bundle(folder, name, tmp_path / "out")
    models = {(entry.format, entry.precision) for entry in found.of_role(Role.MODEL)}
    assert models == {(form, Precision.FLOAT32), (form, Precision.INT8)}
    truth = oracle(folder / name, _tensors(folder))
    assert np.abs(_predicted(tmp_path / "out", folder, Precision.FLOAT32) - truth).max() < 1e-5
    rounded = np.abs(_predicted(tmp_path / "out", folder, Precision.INT8) - truth)
    assert 0 < rounded.max() < 0.1
    given = found.reference
    assert given is not None
    assert (given.format, given.name, given.quantised) == (form, name, False)
    assert given.sha256 == hashlib.sha256((folder / name).read_bytes()).hexdigest()
    assert "softmax" in " ".join(given.changes).lower()
    card = (tmp_path / "out" / "MODEL_CARD.md").read_text(encoding="utf-8")
    assert f"against the given {'ONNX' if form is Format.ONNX else 'TFLite'} file {name}" in card
    assert given.left_out in card
    assert "the Keras model" not in card
    assert found.saliency is not None
    assert found.saliency.method is (Method.GRAD_CAM if form is Format.ONNX else Method.NONE)
    if form is Format.ONNX:
        assert found.saliency.layer == "/f/3/out" and found.saliency.grid == (SIDE, SIDE, 64)
        assert found.map_parity is not None and max(row.worst for row in found.map_parity) < 1e-4
        assert "TensorFlow" not in card
    assert selftest(find(tmp_path / "out")).passed


def test_a_quantised_tflite_file_ships_as_it_is(folder: Path, tmp_path: Path) -> None:
    found = _bundle(folder, "uint8.tflite", tmp_path / "out")
    (entry,) = found.of_role(Role.MODEL)
    assert (entry.format, entry.precision) == (Format.TFLITE, Precision.INT8)
    truth = _of_tflite(folder / "uint8.tflite", _tensors(folder))
    ours = _predicted(tmp_path / "out", folder, Precision.INT8)
    assert np.abs(ours - truth).max() < 1 / 256 + 1e-3  # theirs are rounded to 1/256, ours are computed from its logits
    assert found.reference is not None
    assert found.reference.quantised
    assert (found.guard_band, found.guard_band_exceptions, found.attempts) == (0.0, None, ())
    assert "no float32 file and no guard band" in (tmp_path / "out" / "MODEL_CARD.md").read_text(encoding="utf-8")
    assert selftest(find(tmp_path / "out")).passed


def test_labels_inside_the_file_in_another_order_stop_the_export(folder: Path, tmp_path: Path) -> None:
    model = _labelled(folder, "float.tflite", "swapped.tflite", (LABELS[1], LABELS[0], LABELS[2]))
    done = _run(folder, model, tmp_path / "out")
    assert done.exit_code == 1
    assert "found the labels malignant, benign, normal inside the file" in done.output
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("name", "more", "message"),
    [
        ("torch.onnx", ("--output", "x"), "found no output x, expected one of scores"),
        ("torch.onnx", ("--float16",), "found an ONNX file, expected a Keras model for --float16"),
        ("cut.tflite", (), "a TFLite file that is truncated or damaged"),
        ("lfs.onnx", (), "a git-lfs pointer in place of the file"),
        (
            "renamed.onnx",
            (),
            "found a TFLite file with the suffix .onnx, expected .tflite. Rename it to renamed.tflite",
        ),
    ],
)
def test_a_refusal_is_one_line_and_leaves_nothing(
    folder: Path, tmp_path: Path, name: str, more: tuple[str, ...], message: str
) -> None:
    data = (folder / "float.tflite").read_bytes()
    (folder / "cut.tflite").write_bytes(data[: len(data) // 2])
    (folder / "lfs.onnx").write_bytes(b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 12\n")
    (folder / "renamed.onnx").write_bytes(data)
    done = _run(folder, folder / name, tmp_path / "out", *more)
    assert done.exit_code == 1
    assert message in done.output
    assert len(done.output.strip().splitlines()) == 1
    assert not (tmp_path / "out").exists()
