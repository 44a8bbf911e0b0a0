"""The head read backwards gives TensorFlow's own gradient, for every shape of head that a recipe here has."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from edge_runtime.bundle.policy import Head
from edge_runtime.explain.class_activation import eigen_cam, grad_cam
from training.explain.head import MOST_WEIGHTS, HeadError, find_head, last_map
from training.explain.oracle import eigen_cam as keras_eigen_cam
from training.explain.oracle import grad_cam as keras_grad_cam

keras = pytest.importorskip("keras")
layers = keras.layers


def _network(end: Callable[[Any], Any], *, outputs: int = 3, activation: str = "relu") -> Any:
    """Return two convolutions and a head, with BatchNorm statistics that are not 0 and 1."""
    keras.utils.set_random_seed(3)
    inputs = keras.Input((24, 20, 3))
    x = layers.Conv2D(6, 3, strides=2, padding="same", activation=activation)(inputs)
    x = layers.Conv2D(8, 3, padding="same", activation=activation, name="last")(x)
    model = keras.Model(inputs, layers.Dense(outputs, name="logits")(end(x)))
    rng = np.random.default_rng(0)
    for layer in model.layers:
        if isinstance(layer, layers.BatchNormalization):
            layer.set_weights([rng.uniform(0.5, 1.5, w.shape) for w in layer.get_weights()])
    return model


def _normalised(x: Any) -> Any:
    return layers.Dropout(0.3)(layers.MaxPooling2D(2)(layers.BatchNormalization()(x)))


HEADS: dict[str, Callable[[Any], Any]] = {
    "global average": lambda x: layers.Dropout(0.5)(layers.GlobalAveragePooling2D()(x)),
    "global maximum": lambda x: layers.GlobalMaxPooling2D()(x),
    "flattened": lambda x: layers.Flatten()(x),
    "reshaped": lambda x: layers.Reshape((960,))(x),
    "pooled, places left over": lambda x: layers.Flatten()(layers.MaxPooling2D(3)(x)),
    "overlapping pools": lambda x: layers.Flatten()(layers.MaxPooling2D(3, strides=2)(x)),
    "padded average": lambda x: layers.Flatten()(layers.AveragePooling2D(3, strides=2, padding="same")(x)),
    "normalised after ReLU": lambda x: layers.Flatten()(_normalised(x)),
    "linear layers": lambda x: layers.Dropout(0.2)(layers.Dense(7)(layers.Dense(9)(layers.Flatten()(x)))),
    "hidden ReLU": lambda x: layers.Dense(11, activation="relu")(layers.Flatten()(x)),
    "hidden ReLU, then normalised": lambda x: layers.BatchNormalization()(
        layers.Dense(11, activation="relu")(layers.Flatten()(_normalised(x)))
    ),
    "three hidden layers": lambda x: layers.Dense(5, activation="relu")(
        layers.ReLU()(layers.Dense(6)(layers.Dense(7, activation="relu")(layers.GlobalAveragePooling2D()(x))))
    ),
    "two depths": lambda x: layers.BatchNormalization(center=False, scale=False)(
        layers.Concatenate()([layers.GlobalAveragePooling2D()(x), layers.GlobalAveragePooling2D()(_deeper(x))])
    ),
}


def _deeper(x: Any) -> Any:
    return layers.Conv2D(5, 3, activation="relu", name="deeper")(x)


@pytest.mark.parametrize("name", HEADS)
def test_matrices_and_hidden_values_give_the_gradient_tapes_map(name: str) -> None:
    model = _network(HEADS[name])
    images = np.random.default_rng(1).normal(size=(12, 24, 20, 3)).astype(np.float32)
    labels = np.arange(12) % 3
    _assert_equal_maps(model, images, labels, Head.SOFTMAX)


@pytest.mark.parametrize("label", [0, 1])
def test_one_sigmoids_first_label_has_the_opposite_gradient(label: int) -> None:
    model = _network(HEADS["global average"], outputs=1)
    images = np.random.default_rng(2).normal(size=(6, 24, 20, 3)).astype(np.float32)
    _assert_equal_maps(model, images, np.full(6, label), Head.SIGMOID)


def test_equal_values_in_a_pools_window_share_what_one_would_have() -> None:
    model = _network(HEADS["overlapping pools"])
    images = np.zeros((2, 24, 20, 3), np.float32)  # every window holds equal values, most of them silenced
    images[1, :12] = 1.0
    _assert_equal_maps(model, images, np.array([0, 1]), Head.SOFTMAX)


def _assert_equal_maps(model: Any, images: Any, labels: Any, head: Head) -> None:
    found = find_head(model)
    expected = keras_grad_cam(model, found.features, images, labels, head)
    given = keras.Model(model.inputs[0], [found.features, *found.hidden])(images)
    features, *hidden = [np.asarray(part) for part in (given if isinstance(given, list) else [given])]
    weights = tuple(matrix.astype(np.float32) for matrix in found.weights)
    ours = np.stack(
        [grad_cam(features[i], tuple(h[i] for h in hidden), weights, int(labels[i]), head) for i in range(len(images))]
    )
    assert expected.any()
    assert np.abs(ours - expected).max() <= 1e-5 * expected.max()


def test_the_deeper_of_two_feature_maps_is_shown() -> None:
    assert find_head(_network(HEADS["two depths"])).features._keras_history.operation.name == "deeper"


def test_a_map_is_what_comes_after_the_activation() -> None:
    assert find_head(_network(HEADS["normalised after ReLU"])).features._keras_history.operation.name == "last"


@pytest.mark.parametrize(
    ("end", "said"),
    [
        (lambda x: layers.Dense(4, activation="tanh")(layers.Flatten()(x)), "tanh"),
        (lambda x: layers.ReLU(max_value=6)(layers.Dense(4)(layers.Flatten()(x))), "ReLU"),
        (lambda x: layers.Multiply()([layers.Dense(4)(y := layers.Flatten()(x)), layers.Dense(4)(y)]), "Multiply"),
        (lambda x: layers.Flatten()(layers.GlobalAveragePooling2D(keepdims=True)(x)), "one place"),
    ],
)
def test_a_head_whose_gradient_is_not_known_is_refused_by_name(end: Callable[[Any], Any], said: str) -> None:
    with pytest.raises(HeadError, match=said):
        find_head(_network(end))


def test_a_heavy_head_is_refused_with_both_numbers() -> None:
    wide = int(MOST_WEIGHTS**0.5) + 1

    def end(x: Any) -> Any:
        return layers.Dense(wide, activation="relu")(layers.Dense(wide, activation="relu")(layers.Flatten()(x)))

    with pytest.raises(HeadError, match=r"4,000,000"):
        find_head(_network(end))


@pytest.mark.parametrize("activation", ["relu", "swish"])
def test_the_first_singular_vector_is_numpys(activation: str) -> None:
    model = _network(HEADS["global average"], activation=activation)
    images = np.random.default_rng(4).normal(size=(5, 24, 20, 3)).astype(np.float32)
    features = last_map(model)
    assert features is not None
    expected = keras_eigen_cam(model, features, images)
    found = np.asarray(keras.Model(model.inputs[0], features)(images))
    for wide in (found, found[:, :2, :3]):  # more places than channels, and fewer
        ours = np.stack([eigen_cam(each) for each in wide])
        if wide is found:
            assert np.abs(ours - expected).max() <= 1e-5 * expected.max()
        else:
            svd = [np.linalg.svd(each.reshape(6, -1).astype(np.float64), full_matrices=False) for each in wide]
            theirs = np.stack([np.abs(u[:, 0] * s[0]).reshape(2, 3) for u, s, _ in svd])
            assert np.abs(np.where(ours > 0, ours - theirs, 0)).max() <= 1e-5 * theirs.max()


def test_the_last_map_of_two_by_two_or_more_is_found() -> None:
    features = last_map(_network(HEADS["two depths"]))
    assert features is not None
    assert features._keras_history.operation.name == "deeper"
