"""Heatmaps of a given ONNX file equal those that TensorFlow computes for the Keras network that it was made from."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import onnx
import pytest
from keras import layers

from edge_runtime.bundle.policy import Head
from edge_runtime.bundle.saliency import Method, Saliency
from edge_runtime.bundle.spec import ModelSpec
from edge_runtime.explain.class_activation import from_npz
from edge_runtime.serialisation.records import from_json
from export.converters import to_onnx
from export.source.foreign.onnx_heatmaps import FEATURES, write_explained
from export.source.stored_tensors import store
from tests.integration.export.networks import Floats, convert
from training.explain.method import choose, draw
from training.recipes.phantom_patch import SPEC

IMAGES = np.random.default_rng(4).random((6, 16, 12, 3)).astype(np.float32)
LABELS = np.array([0, 1, 1, 0, 1, 0])

POOL = layers.GlobalAveragePooling2D
HEADS: dict[str, Callable[[Any], Any]] = {
    "mean": lambda x: layers.Dense(2)(POOL()(x)),
    "mean, without bias": lambda x: layers.Dense(2, use_bias=False)(POOL()(x)),
    "flattened": lambda x: layers.Dense(2)(layers.Flatten()(x)),
    "two dense layers": lambda x: layers.Dense(2)(layers.Dense(3)(POOL()(x))),
}


def _keras(head: Callable[[Any], Any]) -> Any:
    keras.utils.set_random_seed(11)
    image = keras.Input((16, 12, 3))
    x = layers.Conv2D(5, 3, activation="relu")(image)
    return keras.Model(image, head(layers.Conv2D(7, 3, strides=2, activation="relu", name="last")(x)))


def _explained(model: Any, folder: Path, spec: ModelSpec = SPEC) -> tuple[Saliency, Floats, Path]:
    model.save(folder / "m.keras")
    convert(to_onnx.write_float32, folder / "m.keras", folder / "m.onnx")
    np.save(folder / "labels.npy", LABELS)
    tensors = str(store(IMAGES, IMAGES.shape[1:], folder / "t.npy").path)
    outs = [folder / name for name in ("out.onnx", "r.json", "w.npz", "maps.npy")]
    write_explained(str(folder / "m.onnx"), tensors, str(folder / "labels.npy"), spec, *map(str, outs))
    return from_json(Saliency, outs[1].read_bytes(), "r"), np.load(outs[3]), folder


@pytest.mark.parametrize("name", HEADS)
def test_a_linear_head_gives_the_grad_cam_of_tensorflow(name: str, tmp_path: Path) -> None:
    model = _keras(HEADS[name])
    saliency, maps, folder = _explained(model, tmp_path)
    expected = draw(choose(model), model, IMAGES, LABELS, Head.SOFTMAX)
    assert (saliency.method, saliency.grid) == (Method.GRAD_CAM, (*expected.shape[1:], 7))
    np.testing.assert_allclose(maps, expected, atol=1e-5 * expected.max())
    assert from_npz((folder / "w.npz").read_bytes(), "w")[0].shape == (7, 2)
    outputs = onnx.load(folder / "out.onnx").graph.output
    assert [value.name for value in outputs] == ["logits", FEATURES]


def test_a_head_with_a_bent_layer_gives_eigen_cam(tmp_path: Path) -> None:
    model = _keras(lambda x: layers.Dense(2)(layers.Dense(9, activation="relu")(layers.GlobalAveragePooling2D()(x))))
    saliency, maps, _ = _explained(model, tmp_path)
    assert saliency.method is Method.EIGEN_CAM and "not linear" in saliency.why
    assert maps.shape == (6, *saliency.grid[:2]) and (maps >= 0).all()


def test_two_ways_from_the_image_to_the_logits_give_no_heatmap(tmp_path: Path) -> None:
    image = keras.Input((16, 12, 3))
    ways = [layers.GlobalAveragePooling2D()(layers.Conv2D(4, 3)(image)) for _ in range(2)]
    model = keras.Model(image, layers.Dense(2)(layers.Concatenate()(ways)))
    saliency, maps, _ = _explained(model, tmp_path)
    assert saliency.method is Method.NONE and maps.size == 0
