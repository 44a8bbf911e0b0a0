"""Layers that converters lack become layers that compute the same, and the rest of the network stays."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers

from export.source.equivalents import with_equivalents

LACKED: dict[str, Callable[[Any], Any]] = {
    "transposed": lambda x: layers.Conv2DTranspose(5, 3, dilation_rate=2, activation="relu")(x),
    "transposed, same": lambda x: layers.Conv2DTranspose(5, (3, 2), dilation_rate=(3, 2), padding="same")(x),
    "transposed, without bias": lambda x: layers.Conv2DTranspose(5, 3, dilation_rate=2, use_bias=False)(x),
    "transposed sequence": lambda x: layers.Conv1DTranspose(5, 3, dilation_rate=2)(layers.Reshape((108, 2))(x)),
    "smaller by cubes": lambda x: layers.Resizing(7, 13, interpolation="bicubic")(x),
    "larger by cubes": lambda x: layers.Resizing(20, 31, interpolation="bicubic")(x),
    "windows": lambda x: layers.Resizing(7, 31, interpolation="lanczos5")(x),
    "upsampling": lambda x: layers.UpSampling2D((2, 3), interpolation="bicubic")(x),
    "nested": lambda x: keras.Sequential([layers.Conv2D(3, 3), layers.Conv2DTranspose(5, 3, dilation_rate=2)])(x),
}
KINDS = ("Resizing", "UpSampling2D")


def _network(layer: Callable[[Any], Any]) -> Any:
    image = keras.Input((9, 12, 2), name="image")
    x = layers.Conv2D(2, 3, padding="same", name="first")(image)
    return keras.Model(image, layers.Dense(2, name="scores")(layers.Flatten()(layer(x))))


@pytest.mark.parametrize("name", LACKED)
def test_the_answers_are_the_same_without_the_layer(name: str, tmp_path: Path) -> None:
    keras.utils.set_random_seed(5)
    model = _network(LACKED[name])
    for layer in model._flatten_layers():
        layer.set_weights([np.random.default_rng(1).normal(size=each.shape) for each in layer.get_weights()])
    images = np.random.default_rng(2).normal(size=(4, 9, 12, 2)).astype(np.float32)
    expected = model.predict(images, verbose=0)

    with_equivalents(model).save(tmp_path / "n.keras")

    found = keras.models.load_model(tmp_path / "n.keras")
    np.testing.assert_allclose(found.predict(images, verbose=0), expected, rtol=1e-4, atol=1e-3)
    every = list(found._flatten_layers())
    assert not [layer for layer in every if type(layer).__name__ in KINDS]
    assert max(max(getattr(layer, "dilation_rate", (1,))) for layer in every) == 1


@pytest.mark.parametrize(
    "layer",
    [
        lambda x: layers.Resizing(7, 13, interpolation="bilinear")(x),
        lambda x: layers.Conv2DTranspose(5, 3, strides=2)(x),
        lambda x: layers.Resizing(7, 7, interpolation="bicubic", crop_to_aspect_ratio=True)(x),
    ],
)
def test_a_network_without_such_a_layer_is_returned_itself(layer: Callable[[Any], Any]) -> None:
    model = _network(layer)
    assert with_equivalents(model) is model
