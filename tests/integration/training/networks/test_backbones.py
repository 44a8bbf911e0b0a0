"""Blocks that a MobileNet keeps fixed stay what they are, on the grid of int8; what follows them is fitted."""

from __future__ import annotations

import numpy as np
import pytest

from training.data.batches import Batches
from training.networks.backbones import MobileNet
from training.networks.weight_quantisation import round_kernel, settle

RNG = np.random.default_rng(8)
IMAGES = RNG.uniform(-1, 1, (16, 32, 32, 1)).astype(np.float32)
TARGETS = np.eye(3, dtype=np.float32)[RNG.integers(0, 3, 16)]


def _built(fixed: int) -> MobileNet:
    return MobileNet(side_px=32, channels=1, taps=(2, 4), fixed=fixed)


def _blocks(names: set[str]) -> set[int]:
    """Return the numbers of the blocks that layers of these names are of; 0 is the first convolution."""
    return {int(name.split("_")[2]) if name[5:8] in ("dw_", "pw_") else 0 for name in names if name.startswith("conv")}


@pytest.mark.parametrize(("fixed", "fitted"), [(0, {0, 1, 2, 3, 4}), (2, {3, 4}), (4, set())])
def test_only_what_follows_the_fixed_blocks_is_fitted_and_settled(fixed: int, fitted: set[int]) -> None:
    model = _built(fixed).build(None, outputs=3, dropout=0.0, activation="softmax")
    before = {weight.path: np.asarray(weight).copy() for weight in model.weights}
    model.compile("sgd", "categorical_crossentropy")
    model.fit(IMAGES, TARGETS, batch_size=8, verbose=0)
    settle(model, Batches(IMAGES, TARGETS, batch=8, seed=0, augmentation=None))
    moved = {
        weight.path.split("/")[-2]
        for weight in model.weights
        if not np.array_equal(before[weight.path], np.asarray(weight))
    }
    assert _blocks(moved) == fitted
    assert "logits" in moved


def test_fixed_filters_are_on_the_grid_before_anything_is_fitted() -> None:
    model = _built(2).build(None, outputs=3, dropout=0.0, activation="softmax")
    kernels = {name: np.asarray(model.get_layer(name).kernel) for name in ("conv1", "conv_pw_2", "conv_pw_3")}
    on_grid = {name for name, kernel in kernels.items() if np.allclose(kernel, round_kernel(kernel, 3), atol=1e-7)}
    assert on_grid == {"conv1", "conv_pw_2"}


@pytest.mark.parametrize(("fixed", "scaled"), [(2, False), (4, True)])
def test_features_are_brought_to_one_scale_where_only_the_head_is_fitted(fixed: int, scaled: bool) -> None:
    model = _built(fixed).build(None, outputs=3, dropout=0.0, activation="softmax")
    assert (model.layers[-4].__class__.__name__ == "BatchNormalization") is scaled
