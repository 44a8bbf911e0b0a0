"""Filters on the grid of int8: the converter finds the very numbers, and averages are the rounded network's."""

from __future__ import annotations

import numpy as np
import pytest

from training.data.batches import Batches
from training.networks.backbones import Plain
from training.networks.weight_quantisation import LEVELS, round_filters, round_kernel, settle

RNG = np.random.default_rng(4)
STACK = Plain(side_px=16, channels=1, filters=(4, 6), pooled=(0,))
IMAGES = RNG.uniform(-1, 1, (64, 16, 16, 1)).astype(np.float32)


@pytest.mark.parametrize(("shape", "axis"), [((3, 3, 5, 7), 3), ((3, 3, 6, 1), 2)])
def test_every_channel_is_rounded_on_its_own_grid_and_keeps_its_largest_value(
    shape: tuple[int, ...], axis: int
) -> None:
    kernel = RNG.normal(size=shape).astype(np.float32) * np.logspace(-3, 2, shape[axis]).reshape(
        [-1 if i == axis else 1 for i in range(4)]
    ).astype(np.float32)
    rounded = round_kernel(kernel, axis)
    for channel in range(shape[axis]):
        ours, given = rounded.take(channel, axis).ravel(), kernel.take(channel, axis).ravel()
        step = np.abs(given).max() / LEVELS
        levels = ours / step
        np.testing.assert_allclose(levels, np.rint(levels), atol=1e-4)
        assert np.abs(ours - given).max() <= step * 0.5001
        assert np.abs(ours).max() == pytest.approx(np.abs(given).max(), rel=1e-6)
    np.testing.assert_allclose(round_kernel(rounded, axis), rounded, rtol=1e-6)


def test_a_channel_of_zeros_stays_zeros() -> None:
    assert not round_kernel(np.zeros((3, 3, 2, 2), np.float32), 3).any()


@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::DeprecationWarning")
def test_an_int8_file_holds_the_rounded_filters_as_they_are() -> None:
    """The converter folds BatchNorm into each filter and finds the grid again: nothing is lost a second time."""
    tf = pytest.importorskip("tensorflow")
    model = STACK.build(outputs=2, dropout=0.0, activation="softmax")
    for layer in model.layers:
        if "batch_normalization" in layer.name:
            layer.set_weights([RNG.uniform(0.2, 2.0, weight.shape) for weight in layer.get_weights()])
    round_filters(model.layers)
    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: ([image[np.newaxis]] for image in IMAGES)
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    interpreter = tf.lite.Interpreter(model_content=converter.convert())
    found = {
        d["shape"][0]: interpreter.get_tensor(d["index"]).astype(np.float64)
        * d["quantization_parameters"]["scales"][:, None, None, None]
        for d in interpreter.get_tensor_details()
        if len(d["shape"]) == 4 and len(d["quantization_parameters"]["scales"]) == d["shape"][0] > 1
    }
    convolutions = [layer for layer in model.layers if layer.name.startswith("conv2d")]
    norms = [layer for layer in model.layers if "batch_normalization" in layer.name]
    assert sorted(found) == [4, 6]
    for convolution, norm in zip(convolutions, norms, strict=True):
        gamma, _, _, variance = (np.asarray(weight, np.float64) for weight in norm.get_weights())
        folded = np.asarray(convolution.kernel, np.float64) * gamma / np.sqrt(variance + norm.epsilon)
        np.testing.assert_allclose(found[folded.shape[-1]], folded.transpose(3, 0, 1, 2), rtol=2e-5, atol=1e-7)


def test_settling_moves_filters_to_the_grid_and_averages_to_the_rounded_networks() -> None:
    model = STACK.build(outputs=2, dropout=0.5, activation="softmax")
    before = {weight.path: np.asarray(weight) for weight in model.weights}
    batches = Batches(IMAGES, np.zeros((64, 2), np.float32), batch=16, seed=0, augmentation=None)
    for _ in range(8):
        settle(model, batches)
    after = {weight.path: np.asarray(weight) for weight in model.weights}
    moved = {path.split("/")[-1] for path in before if not np.array_equal(before[path], after[path])}
    assert moved == {"kernel", "moving_mean", "moving_variance"}
    assert {path for path in moved if "logits" in path} == set()
    np.testing.assert_array_equal(
        *[{p: v for p, v in side.items() if p.startswith("logits")}["logits/kernel"] for side in (before, after)]
    )
    first = next(layer for layer in model.layers if layer.name.startswith("conv2d"))
    norm = next(layer for layer in model.layers if "batch_normalization" in layer.name)
    out = np.asarray(first(IMAGES))
    np.testing.assert_allclose(np.asarray(norm.moving_mean), out.mean(axis=(0, 1, 2)), atol=0.02 * out.std())
