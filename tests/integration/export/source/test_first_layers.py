"""What reaches a network behind two scalings, against the network's own arithmetic on images of 0 and 255."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers

from edge_runtime.bundle.spec import ModelSpec
from edge_runtime.preprocessing.steps import MinMax, Normalize, Scale, Step
from export.source.first_layers import FirstLayers, first_layers
from training.recipes.phantom_patch import SPEC

BARE = SPEC.steps[:2]
BY_255, BY_127 = Scale(255.0, 0.0), Scale(127.5, -1.0)
TORCH = Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
OF_255 = layers.Normalization(mean=[120.0, 110.0, 100.0], variance=[900.0, 1600.0, 2500.0])
OF_1 = layers.Normalization(mean=[0.5, 0.4, 0.3], variance=[0.06, 0.05, 0.04])


def _spec(*steps: Step) -> ModelSpec:
    return replace(SPEC, steps=(*BARE, *steps))


def _model(*first: Any, nested: bool = False, sequential: bool = False) -> Any:
    inputs = keras.Input((8, 8, 3))
    x = inputs
    if sequential:
        return keras.Sequential([inputs, *first, layers.Conv2D(2, 3), layers.Flatten(), layers.Dense(2)])
    if nested:
        inner_in = keras.Input((8, 8, 3))
        y = inner_in
        for layer in first:
            y = layer(y)
        x = keras.Model(inner_in, layers.Conv2D(2, 3)(y))(layers.Dropout(0.5)(x))
    else:
        for layer in first:
            x = layer(x)
        x = layers.Conv2D(2, 3)(x)
    return keras.Model(inputs, layers.Dense(2)(layers.Flatten()(x)))


TWICE = {
    "rescaling": ((BY_255,), (layers.Rescaling(1 / 255),), (0, 1 / 255)),
    "to -1..1": ((BY_127,), (layers.Rescaling(1 / 127.5, offset=-1),), (-1 - 1 / 127.5, -1 + 1 / 127.5)),
    "normalization": ((BY_255,), (OF_255,), (-120 / 30, (1 - 100) / 50)),
    "torch": ((BY_255, TORCH), (layers.Rescaling(1 / 255),), (-0.485 / 0.229 / 255, 0.594 / 0.225 / 255)),
    "division": ((BY_255,), (lambda x: x / 255.0,), (0, 1 / 255)),
}


@pytest.mark.parametrize("kind", ["plain", "nested", "sequential"])
@pytest.mark.parametrize("name", TWICE)
def test_scaling_twice_is_found_with_both_ranges(name: str, kind: str, tmp_path: Path) -> None:
    steps, first, expected = TWICE[name]
    if kind == "sequential" and name == "division":
        return  # a Sequential holds layers alone
    found = first_layers(_model(*first, nested=kind == "nested", sequential=kind == "sequential"), _spec(*steps))
    assert len(found.names) == 1
    if name != "normalization":  # there the channels differ; its ends are checked below
        np.testing.assert_allclose(found.reaching, expected, rtol=1e-4, atol=1e-6)
    found.write(tmp_path)
    assert FirstLayers.read(tmp_path) == found
    if name == "normalization":
        assert found.reaching == pytest.approx((-4.0, -1.98), abs=0.01)
    assert "images are scaled twice" in found.fault()
    assert f"{found.given[0]:.4g}..{found.given[1]:.4g}" in found.fault()


@pytest.mark.parametrize(
    ("steps", "first"),
    [
        ((), ()),
        ((BY_255,), ()),
        ((), (layers.Rescaling(1 / 255),)),
        ((), (layers.Rescaling(1 / 127.5, offset=-1),)),
        ((), (OF_255,)),
        ((BY_255,), (OF_1,)),
        ((BY_255,), (layers.Rescaling(2.0, offset=-1),)),
        ((BY_255,), (layers.Rescaling(255.0),)),
        ((MinMax(0.0, 1.0),), (OF_1,)),
        ((BY_255,), (layers.BatchNormalization(),)),
        ((BY_127,), (layers.Conv2D(3, 1), layers.Rescaling(1 / 255))),
    ],
)
def test_what_belongs_together_is_no_fault(steps: tuple[Step, ...], first: tuple[Any, ...]) -> None:
    assert not first_layers(_model(*first), _spec(*steps)).fault()


@pytest.mark.parametrize("layer", [OF_1, layers.Rescaling(255.0)])
def test_what_was_fitted_on_0_to_1_and_gets_0_to_255_is_told(layer: Any) -> None:
    found = first_layers(_model(layer), _spec())
    assert "0..255" in found.fault()
    assert "Give the steps that the network was fitted with" in found.fault()


def test_efficientnet_scales_by_itself_through_several_layers() -> None:
    model = keras.applications.EfficientNetB0(weights=None, input_shape=(32, 32, 3), classes=2)
    assert not first_layers(model, _spec()).fault()
    twice = first_layers(model, _spec(BY_255))
    assert len(twice.names) >= 2
    assert twice.fault()
