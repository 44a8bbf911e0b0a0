"""What is found saturated or scaled otherwise than in the fit, and that networks as fitted are not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers

from export.source.first_activations import FirstActivations, first_activations

IMAGES = np.random.default_rng(0).random((16, 8, 8, 3)).astype(np.float32)
"""Images scaled to 0..1."""


def _nested(*body: Any) -> Any:
    inputs = keras.Input((8, 8, 3))
    inner = keras.Sequential([keras.Input((8, 8, 3)), *body])
    return keras.Model(inputs, layers.Dense(2)(layers.Flatten()(inner(inputs))))


def _flat(*body: Any) -> Any:
    x = inputs = keras.Input((8, 8, 3))
    for layer in body:
        x = layer(x)
    return keras.Model(inputs, layers.Dense(2)(layers.Flatten()(x)))


def _fitted(model: Any) -> Any:
    """Give every BatchNormalization the statistics of IMAGES."""
    for _ in range(1000):
        model(IMAGES, training=True)
    return model


@pytest.mark.parametrize("nested", [False, True])
@pytest.mark.parametrize("function", ["tanh", "sigmoid", "hard_sigmoid", "relu6", "softsign"])
def test_a_bounded_activation_is_saturated_by_pixels_that_are_not_scaled(function: str, nested: bool) -> None:
    kernel = keras.initializers.RandomNormal(stddev=1.0, seed=1)
    body = (layers.Conv2D(8, 3, activation=function, kernel_initializer=kernel, name="first"),)
    model = _nested(*body) if nested else _flat(*body)
    assert not first_activations(model, IMAGES).fault()
    found = first_activations(model, IMAGES * (255 if function != "softsign" else 60000))
    assert "at its bounds" in found.fault()
    assert f"first ({function})" in found.fault()


def test_a_relu_without_any_value_above_0_is_told() -> None:
    convolution = layers.Conv2D(4, 1, bias_initializer=keras.initializers.Constant(-2.0))
    model = _flat(convolution, layers.ReLU(name="rectified"))
    convolution.kernel.assign(np.full((1, 1, 3, 4), 1.0, np.float32))
    assert not first_activations(model, IMAGES * 4).fault()
    assert (
        "found 100.0% of the values of rectified (relu) at its bounds" in first_activations(model, IMAGES / 4).fault()
    )


@pytest.mark.parametrize("nested", [False, True])
def test_values_that_the_fit_did_not_see_are_told_by_the_normalisation(nested: bool, tmp_path: Path) -> None:
    body = (layers.Conv2D(4, 3), layers.BatchNormalization(name="normal", momentum=0.9), layers.ReLU())
    model = _fitted(_nested(*body) if nested else _flat(*body))
    assert first_activations(model, IMAGES).spread == pytest.approx(1.0, abs=0.05)
    assert not first_activations(model, IMAGES).fault()
    for factor in (255, 1 / 255):
        found = first_activations(model, IMAGES * np.float32(factor))
        assert "times as much as in the fit at normal" in found.fault()
    found.write(tmp_path)
    assert FirstActivations.read(tmp_path) == found


def test_networks_that_were_never_fitted_or_have_no_such_layer_are_left_alone() -> None:
    for body in ((layers.BatchNormalization(),), (layers.Conv2D(2, 3),), (layers.Conv2D(2, 3, activation="swish"),)):
        assert not first_activations(_flat(*body), IMAGES * 255).fault()


def test_the_network_is_the_same_afterwards() -> None:
    model = _flat(layers.Conv2D(4, 3, activation="tanh"), layers.BatchNormalization())
    before = np.asarray(model(IMAGES))
    first_activations(model, IMAGES)
    assert not any("call" in vars(layer) for layer in model.layers)
    np.testing.assert_array_equal(np.asarray(model(IMAGES)), before)
