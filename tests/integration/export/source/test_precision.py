"""Networks in half precision: their float32 copies against the same network built in float32, or one sentence."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np
import pytest
from keras import layers

from edge_runtime.bundle.policy import Head
from edge_runtime.bundle.spec import ModelSpec
from edge_runtime.inference.backends.base import Runtime
from edge_runtime.inference.backends.registry import open_model
from edge_runtime.preprocessing.steps import Resize
from export.converters import to_tflite
from export.errors import ExportError
from export.source.keras_model import write_network
from export.source.precision import check_precision, in_float32, other_types
from export.source.saved_models import load, load_as_saved
from training.recipes.phantom_patch import SPEC

IMAGES = np.random.default_rng(0).random((6, 8, 8, 3), dtype=np.float32)
POLICIES = ["mixed_float16", "mixed_bfloat16", "float16", "bfloat16", "float64"]
NOT_READ = ("bfloat16", "model.h5")
"""Keras itself does not read weights of this type back from HDF5."""


@pytest.fixture(autouse=True)
def _float32_afterwards() -> Iterator[None]:
    yield
    keras.config.set_dtype_policy("float32")


def _network(policy: str, *, only: str | None = None, cast: bool = False) -> Any:
    """A network with a nested one and a layer used twice, named as types are.

    Args:
        only: the one layer that has ``policy``; by default it is that of all.
    """
    keras.utils.set_random_seed(1)
    keras.config.set_dtype_policy("float32" if only else policy)

    def named(name: str) -> dict[str, Any]:
        return {"name": name, **({"dtype": policy} if name == only else {})}

    inputs = keras.Input((8, 8, 3))
    inner = keras.Sequential(
        [
            keras.Input((8, 8, 4)),
            layers.DepthwiseConv2D(3, **named("depth")),
            layers.BatchNormalization(),
            layers.ReLU(),
        ]
    )
    twice = layers.Conv2D(4, 3, padding="same", activation="relu", **named("half"))
    x = twice(twice(layers.Conv2D(4, 1, **named("float16"))(layers.Rescaling(2.0)(inputs))))
    if cast:
        x = keras.ops.cast(keras.ops.cast(x, "float16"), "float32")
    x = layers.GlobalAveragePooling2D()(inner(x))
    model = keras.Model(inputs, layers.Dense(2, activation="softmax", dtype="float32")(x))
    keras.config.set_dtype_policy("float32")
    return model


def _oracle(model: Any) -> np.ndarray:
    plain = _network("float32")
    plain.set_weights([weight.astype(np.float32) for weight in map(np.asarray, model.get_weights())])
    return np.asarray(plain(IMAGES))


@pytest.mark.parametrize(
    ("policy", "name"),
    [(policy, name) for policy in POLICIES for name in ("model.keras", "model.h5") if (policy, name) != NOT_READ],
)
def test_a_copy_in_float32_is_the_network_built_in_float32(policy: str, name: str, tmp_path: Path) -> None:
    model = _network(policy)
    model.save(tmp_path / name)
    found = load(tmp_path / name)
    assert other_types(load_as_saved(tmp_path / name))
    assert not other_types(found)
    assert {str(variable.dtype) for variable in found.variables} == {"float32"}
    np.testing.assert_allclose(np.asarray(found(IMAGES)), _oracle(model), atol=1e-6)


@pytest.mark.parametrize("only", ["half", "float16", "depth"])
def test_one_layer_in_half_precision_is_enough(only: str, tmp_path: Path) -> None:
    model = _network("mixed_float16", only=only)
    model.save(tmp_path / "model.keras")
    assert other_types(model) == ("float16",)
    found = load(tmp_path / "model.keras")
    assert not other_types(found)
    np.testing.assert_allclose(np.asarray(found(IMAGES)), _oracle(model), atol=1e-6)


def test_a_cast_between_layers_is_rewritten_too() -> None:
    model = _network("float32", cast=True)
    assert other_types(model) == ("float16",)
    found = in_float32(model)
    assert not other_types(found)
    np.testing.assert_allclose(np.asarray(found(IMAGES)), _oracle(model), atol=1e-6)


def test_a_network_in_float32_is_left_as_it_is() -> None:
    model = _network("float32")
    assert in_float32(model) is model


def test_a_policy_of_keras_2_is_read(tmp_path: Path) -> None:
    path = tmp_path / "old.h5"
    model = _network("mixed_float16")
    model.save(path)
    with h5py.File(path, "r+") as file:
        config = json.loads(file.attrs["model_config"])
        text = json.dumps(config).replace('"class_name": "DTypePolicy"', '"class_name": "Policy"')
        assert '"Policy"' in text
        file.attrs["model_config"] = text.replace('"module": "keras", "class_name": "Policy"', '"class_name": "Policy"')
        file.attrs["keras_version"] = "2.15.0"
    found = load(path)
    assert not other_types(found)
    np.testing.assert_allclose(np.asarray(found(IMAGES)), _oracle(model), atol=1e-6)


def _spec() -> ModelSpec:
    steps = tuple(replace(step, width_px=8, height_px=8) if isinstance(step, Resize) else step for step in SPEC.steps)
    return replace(SPEC, steps=steps, head=Head.SOFTMAX)


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_what_is_exported_computes_in_float32(policy: str, tmp_path: Path) -> None:
    model = _network(policy)
    model.save(tmp_path / "model.keras")
    np.save(tmp_path / "tensors.npy", IMAGES)
    paths = [str(tmp_path / name) for name in ("network.keras", "logits.npy", "refusal.txt")]
    write_network(str(tmp_path / "model.keras"), str(tmp_path / "tensors.npy"), _spec(), None, *paths)
    assert not (tmp_path / "refusal.txt").exists(), (tmp_path / "refusal.txt").read_text()
    to_tflite.write_float32(paths[0], str(tmp_path / "model.tflite"))
    logits = open_model((tmp_path / "model.tflite").read_bytes(), Runtime.LITERT).run(IMAGES)
    np.testing.assert_allclose(logits, np.load(paths[1]), atol=1e-5)
    exp = np.exp(logits - logits.max(axis=1, keepdims=True))
    np.testing.assert_allclose(exp / exp.sum(axis=1, keepdims=True), _oracle(model), atol=1e-5)


def test_a_saved_model_in_half_precision_is_refused_in_one_sentence(tmp_path: Path) -> None:
    _network("mixed_float16").export(tmp_path / "folder", verbose=False)
    with pytest.raises(
        ExportError, match=r"computes in float16, expected float32.* Give the \.keras or \.h5 file"
    ) as e:
        load(tmp_path / "folder")
    assert len(str(e.value).splitlines()) == 1
    _network("float32").export(tmp_path / "plain", verbose=False)
    assert load(tmp_path / "plain").inputs


@pytest.mark.filterwarnings("ignore:.*`quantize` method:UserWarning")
def test_a_model_that_keras_quantised_is_refused() -> None:
    model = _network("float32")
    model.quantize("int8")
    with pytest.raises(ExportError, match=r"found layer .* quantised by Keras .* before model\.quantize is called"):
        in_float32(model)


@pytest.mark.parametrize(("types", "shift", "passes"), [("float16", 0.01, True), ("float16", 0.05, False)])
def test_outputs_may_move_as_far_as_rounding_explains(types: str, shift: float, passes: bool) -> None:
    before = np.array([[0.2, 0.8], [np.nan, 70.0]], np.float32)
    after = before + np.array([[shift, 0], [0, 0]], np.float32)
    after[1, 0] = 3.0
    if passes:
        assert check_precision("m", (types,), before, after) == pytest.approx(shift, rel=1e-3)
        return
    with pytest.raises(ExportError, match=r"m: found a network in float16 whose outputs change by 0\.05 in float32"):
        check_precision("m", (types,), before, after)
