"""A bundle's heatmaps are TensorFlow's, in both formats; where they cannot be, it says why and holds none."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge_runtime.bundle.bundle import find
from edge_runtime.bundle.manifest import Format, Precision, Role
from edge_runtime.bundle.policy import DecisionPolicy, Head
from edge_runtime.bundle.saliency import Method, Saliency
from edge_runtime.bundle.spec import ModelSpec
from edge_runtime.explain.class_activation import FILE
from edge_runtime.images.colour import ColourOrder
from edge_runtime.preprocessing.steps import Colour, Interpolation, PixelType, Resize, Scale
from export.conversion import ExportFolder, ParityImages
from export.converters import tflite_file, to_onnx, to_tflite
from export.model_card import model_card
from export.validation import heatmaps
from export.validation.heatmaps import IMAGES, WORST, HeatmapReference, examine, prove
from tests.integration.export.networks import SIDE, convert, logits

SPEC = ModelSpec(
    name="tiny",
    version="1.0.0",
    summary="Three labels of noise.",
    steps=(
        Colour(ColourOrder.RGB),
        Resize(SIDE, SIDE, Interpolation.LINEAR_EXACT, PixelType.UINT8),
        Scale(255.0, 0.0),
    ),
    labels=("a", "b", "c"),
    positive=("c",),
    head=Head.SOFTMAX,
    policy=DecisionPolicy(cutoff=0.5, confidence_floor=0.0),
)


def test_the_phantoms_bundle_proves_its_maps_in_both_formats(phantom_bundle: Path) -> None:
    manifest = find(phantom_bundle).manifest
    found = manifest.saliency
    assert found is not None
    assert (found.method, found.why) == (Method.GRAD_CAM, "")
    rows = manifest.map_parity or ()
    assert {row.file for row in rows} == {"model.float32.tflite", "model.float32.onnx"}
    for row in rows:
        assert row.images == min(IMAGES, manifest.parity[0].images)
        assert row.worst <= WORST
        assert row.blank < row.images
    (entry,) = (entry for entry in manifest.files if entry.role is Role.SALIENCY)
    assert entry.name == FILE
    assert "Grad-CAM (Selvaraju et al. 2017" in (phantom_bundle / "MODEL_CARD.md").read_text(encoding="utf-8")


def _network(end: Callable[[Any], Any]) -> Any:
    import keras
    from keras import layers

    keras.utils.set_random_seed(5)
    inputs = keras.Input((SIDE, SIDE, 3))
    x = layers.Conv2D(6, 3, padding="same", activation="relu")(inputs)
    return keras.Model(inputs, layers.Dense(3, name="logits")(end(x)))


def _relu_twice(x: Any) -> Any:
    from keras import layers

    # two hidden layers of one size: only the order of the outputs tells them apart
    return layers.Dense(5, activation="relu")(layers.Dense(5, activation="relu")(layers.Flatten()(x)))


def _bent(x: Any) -> Any:
    from keras import layers

    return layers.Dense(5, activation="tanh")(layers.Flatten()(x))


def _exported(
    model: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> tuple[HeatmapReference, ExportFolder, np.ndarray]:
    """Examine a network and convert it in this process, as export does in others."""
    monkeypatch.setattr(heatmaps, "in_own_process", convert)
    work = ExportFolder(tmp_path / "bundle", tmp_path / "scratch")
    work.bundle.mkdir()
    work.scratch.mkdir()
    tensors = np.random.default_rng(0).random((9, SIDE, SIDE, 3), dtype=np.float32)
    judged = ParityImages(tensors, np.asarray(model(tensors)))
    model.save(tmp_path / "network.keras")
    golden = ParityImages(tensors[:2], judged.logits[:2])
    explained = examine(tmp_path / "network.keras", SPEC, judged, golden, work)
    paths = [work.model(form, Precision.FLOAT32) for form in Format]
    for job, path in zip((to_tflite.write_float32, to_onnx.write_float32), paths, strict=True):
        convert(job, str(explained.network), str(path))
    for embed, path in zip((tflite_file.embed, to_onnx.embed), paths, strict=True):
        embed(path, SPEC)
    for path in paths:
        assert np.abs(logits(path, tensors) - judged.logits).max() <= 1e-5  # the first output is still the logits
    return explained, work, tensors


def test_hidden_layers_of_one_size_come_out_in_the_networks_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    explained, work, tensors = _exported(_network(_relu_twice), tmp_path, monkeypatch)
    found, rows = prove(explained, SPEC, tensors, work)
    assert found.method is Method.GRAD_CAM
    assert max(row.worst for row in rows or ()) <= WORST
    assert (work.bundle / FILE).is_file()
    assert explained.golden.shape == (2, SIDE, SIDE)


def test_a_head_that_is_not_known_gives_an_eigen_cam_and_the_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    explained, work, tensors = _exported(_network(_bent), tmp_path, monkeypatch)
    found, rows = prove(explained, SPEC, tensors, work)
    assert found.method is Method.EIGEN_CAM
    assert "tanh" in found.why
    assert max(row.worst for row in rows or ()) <= WORST
    assert not (work.bundle / FILE).exists()


def test_maps_that_are_not_tensorflows_do_not_ship(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    explained, work, tensors = _exported(_network(_relu_twice), tmp_path, monkeypatch)
    wrong = explained.maps.copy()
    wrong[3, 0, 0] += 0.01 * wrong[3].max()
    found, _ = prove(replace(explained, maps=wrong), SPEC, tensors, work)
    assert found.method is Method.NONE
    assert "differ from TensorFlow's by up to 0.0" in found.why
    assert not (work.bundle / FILE).exists()


def test_a_network_without_a_feature_map_has_none_and_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import keras
    from keras import layers

    inputs = keras.Input((SIDE, SIDE, 3))
    hidden = layers.Dense(4, activation="tanh")(layers.Flatten()(inputs))
    explained, work, tensors = _exported(keras.Model(inputs, layers.Dense(3)(hidden)), tmp_path, monkeypatch)
    found, rows = prove(explained, SPEC, tensors, work)
    assert (found.method, rows) == (Method.NONE, None)
    assert "no layer gives a feature map" in found.why


def test_a_saved_models_layers_are_out_of_reach(tmp_path: Path) -> None:
    none = ParityImages(np.zeros((0, SIDE, SIDE, 3), np.float32), np.zeros((0, 3), np.float32))
    folder = tmp_path / "network"
    folder.mkdir()
    explained = examine(folder, SPEC, none, none, ExportFolder(tmp_path / "bundle", tmp_path / "scratch"))
    assert (explained.saliency.method, explained.network) == (Method.NONE, folder)
    assert "SavedModel" in explained.saliency.why


def test_a_card_says_what_was_not_measured_and_why_a_map_is_no_grad_cam(phantom_bundle: Path) -> None:
    manifest = find(phantom_bundle).manifest
    assert "Whether heatmaps point at lesions was not measured." in model_card(manifest)
    heavy = Saliency(Method.EIGEN_CAM, "its head is heavy", "conv", (7, 7, 9))
    assert "Not Grad-CAM: Its head is heavy." in model_card(replace(manifest, saliency=heavy))
    assert "None: It came as a SavedModel." in model_card(
        replace(manifest, saliency=Saliency(Method.NONE, "it came as a SavedModel"))
    )
    assert "Heatmaps" not in model_card(replace(manifest, saliency=None))
