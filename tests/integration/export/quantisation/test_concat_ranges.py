"""Channels that a concatenation joins get one range, the logits stay, and what others read keeps its values."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
from keras import layers

from export.quantisation.concat_ranges import draw_together

IMAGES = np.random.default_rng(0).random((16, 12, 12, 3), dtype=np.float32)
NORMS = {"first", "second"}


def _block(*, tapped: bool) -> Any:
    """Two makers of very different channels, pooled and joined, read by a BatchNorm; joined again, read by another.

    Args:
        tapped: the first maker's map is read by a convolution, too.
    """
    keras.utils.set_random_seed(7)
    rng = np.random.default_rng(1)
    image = keras.Input((12, 12, 3))
    x = layers.BatchNormalization(name="folds")(layers.Conv2D(6, 3, use_bias=False)(image))
    x = layers.AveragePooling2D(2)(layers.ReLU(name="map")(x))
    y = layers.ReLU()(layers.BatchNormalization(name="first")(x))
    joined = layers.Concatenate(name="joined")([x, layers.Conv2D(4, 3, padding="same", name="maker")(y)])
    z = layers.ReLU()(layers.BatchNormalization(name="second")(joined))
    ends = [layers.GlobalAveragePooling2D()(z)]
    if tapped:
        ends.append(layers.GlobalAveragePooling2D()(layers.Conv2D(2, 1)(x)))
    model = keras.Model(image, layers.Dense(2)(layers.Concatenate()(ends) if tapped else ends[0]))
    for norm in (layer for layer in model.layers if isinstance(layer, layers.BatchNormalization)):
        size = norm.gamma.shape[0]
        factors = np.exp(rng.uniform(-2, 2, size))
        norm.set_weights([factors, rng.normal(size=size), rng.normal(size=size) * 0.1, rng.uniform(0.5, 2, size)])
    kernel, bias = model.get_layer("maker").get_weights()
    model.get_layer("maker").set_weights([kernel * np.exp([-2, 0, 1, 2]), bias])
    return model


def _ranges(model: Any) -> Any:
    joined = keras.Model(model.inputs, model.get_layer("joined").output)
    return np.abs(joined.predict(IMAGES, verbose=0)).max(axis=(0, 1, 2))


@pytest.mark.parametrize("tapped", [False, True], ids=["read by BatchNorms alone", "read by a convolution too"])
def test_the_logits_stay(tapped: bool) -> None:
    model = _block(tapped=tapped)
    before = model.predict(IMAGES, verbose=0)
    draw_together(model, NORMS, IMAGES)
    np.testing.assert_allclose(model.predict(IMAGES, verbose=0), before, atol=1e-5 * np.abs(before).max())


def test_all_channels_get_one_range() -> None:
    model = _block(tapped=False)
    before = _ranges(model)
    draw_together(model, NORMS, IMAGES)
    after = _ranges(model)
    assert before.max() > 20 * before.min()
    np.testing.assert_allclose(after, np.exp(np.log(before).mean()), rtol=1e-4)  # the geometric mean


def test_a_map_that_something_else_reads_keeps_its_values() -> None:
    model = _block(tapped=True)
    before = _ranges(model)
    draw_together(model, NORMS, IMAGES)
    after = _ranges(model)
    np.testing.assert_array_equal(after[:6], before[:6])
    assert np.ptp(np.log(after[6:])) < 0.1 * np.ptp(np.log(before[6:]))


def test_without_such_norms_no_weight_changes() -> None:
    model = _block(tapped=False)
    before = model.get_weights()
    draw_together(model, set(), IMAGES)
    for ours, theirs in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(ours, theirs)
