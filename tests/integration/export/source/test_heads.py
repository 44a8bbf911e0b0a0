"""The final activation is found, removed, and put back by the device to the very scores of the whole model."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers

from edge_runtime.bundle.policy import DecisionPolicy, Head
from edge_runtime.bundle.spec import ModelSpec
from edge_runtime.decision.scores import scores_of
from edge_runtime.images.colour import ColourOrder
from edge_runtime.preprocessing.steps import Colour, Interpolation, PixelType, Resize
from export.errors import ExportError
from export.source.heads import FinalActivation, cut
from export.source.spec_check import Network, check_end, check_shapes, complements

IMAGES = np.random.default_rng(0).random((6, 8, 8, 3), dtype=np.float32)
STEPS = (Colour(ColourOrder.RGB), Resize(8, 8, Interpolation.LINEAR, PixelType.FLOAT32))
Finish = Callable[[Any], Any]


def _spec(head: Head, labels: int = 3) -> ModelSpec:
    names = ("a", "b", "c", "d")[:labels]
    return ModelSpec("own-net", "1.0.0", "", STEPS, names, names[1:], head, DecisionPolicy(0.5, 0.0))


def _model(finish: Finish) -> Any:
    keras.utils.set_random_seed(1)
    inputs = keras.Input((8, 8, 3))
    return keras.Model(inputs, finish(layers.Conv2D(4, 3, activation="relu")(inputs)))


def _nested(x: Any) -> Any:
    flat = layers.Flatten()(x)
    inner = keras.Input(flat.shape[1:])
    return keras.Model(inner, layers.Dense(3, activation="sigmoid")(inner))(flat)


SOFTMAX, SIGMOID, LOGITS = FinalActivation.SOFTMAX, FinalActivation.SIGMOID, FinalActivation.LOGITS
ENDS: dict[str, tuple[Finish, FinalActivation]] = {
    "softmax in the dense layer": (lambda x: layers.Dense(3, activation="softmax")(layers.Flatten()(x)), SOFTMAX),
    "activation layer": (lambda x: layers.Activation("softmax")(layers.Dense(3)(layers.Flatten()(x))), SOFTMAX),
    "softmax layer": (lambda x: layers.Softmax()(layers.Dense(3)(layers.Flatten()(x))), SOFTMAX),
    "convolution, flat": (lambda x: layers.Flatten()(layers.Conv2D(3, 6, activation="sigmoid")(x)), SIGMOID),
    "pooled": (lambda x: layers.Softmax()(layers.GlobalAveragePooling2D()(layers.Conv2D(3, 1)(x))), SOFTMAX),
    "in a nested model": (_nested, SIGMOID),
    "no activation": (lambda x: layers.Dense(3)(layers.Flatten()(x)), LOGITS),
}  # fmt: skip

KEPT: dict[str, Finish] = {
    "relu": lambda x: layers.Dense(3, activation="relu")(layers.Flatten()(x)),
    "two sigmoids side by side": lambda x: layers.Concatenate()(
        [layers.Dense(1, activation="sigmoid")(layers.Flatten()(x)) for _ in range(3)]
    ),
    "one upon the other": lambda x: layers.Softmax()(layers.Dense(3, activation="sigmoid")(layers.Flatten()(x))),
    "custom arithmetic": lambda x: layers.Dense(3, activation="sigmoid")(layers.Flatten()(x)) ** 2.0,
}


@pytest.mark.parametrize("name", ENDS)
def test_the_heads_scores_of_the_cut_network_are_those_of_the_whole_model(name: str) -> None:
    finish, expected = ENDS[name]
    model = _model(finish)
    whole = np.asarray(model(IMAGES))
    network, end = cut(model)
    assert end is expected
    logits = np.asarray(network(IMAGES))
    head = {FinalActivation.SOFTMAX: Head.SOFTMAX, FinalActivation.SIGMOID: Head.INDEPENDENT_SIGMOIDS}.get(end)
    found = logits if head is None else scores_of(logits, _spec(head))
    np.testing.assert_allclose(found, whole, atol=1e-6)
    assert head is None or np.abs(logits - whole).max() > 0.1


@pytest.mark.parametrize("name", KEPT)
def test_another_end_is_left_as_it_is(name: str) -> None:
    model = _model(KEPT[name])
    whole = np.asarray(model(IMAGES))
    network, end = cut(model)
    assert end is FinalActivation.UNKNOWN
    np.testing.assert_array_equal(np.asarray(network(IMAGES)), whole)


def test_a_cut_network_is_saved_loaded_and_cut_again_without_a_change(tmp_path: Path) -> None:
    network, _ = cut(_model(ENDS["softmax in the dense layer"][0]))
    network.save(tmp_path / "network.keras")
    again, end = cut(keras.models.load_model(tmp_path / "network.keras"))
    assert end is FinalActivation.LOGITS
    np.testing.assert_array_equal(np.asarray(again(IMAGES)), np.asarray(network(IMAGES)))


GOOD = Network("m.keras", ("image",), ("out",), (None, 8, 8, 3), (None, 3), "float32")


def _network(**changed: Any) -> Network:
    return Network(**(vars(GOOD) | changed))


@pytest.mark.parametrize(
    ("network", "head", "labels", "says"),
    [
        (_network(inputs=("image", "age")), Head.SOFTMAX, 3, r"found 2 inputs \(image, age\), expected one, the image"),
        (_network(outputs=("x", "y")), Head.SOFTMAX, 3, r"found 2 outputs \(x, y\), expected one, the scores"),
        (_network(dtype="uint8"), Head.SOFTMAX, 3, "found an input of uint8, expected float32"),
        (_network(taken=(4, 8, 8, 3)), Head.SOFTMAX, 3, "found a batch of 4 fixed, expected any"),
        (_network(taken=(None, 9, 8, 3)), Head.SOFTMAX, 3, r"input of 9×8×3, the spec's steps give 8×8×3 .*resize"),
        (_network(taken=(None, 8, 8, 1)), Head.SOFTMAX, 3, r"input of 8×8×1, the spec's steps give 8×8×3 .*colour"),
        (_network(taken=(None, 3, 8, 8)), Head.SOFTMAX, 3, r"channels first. Put keras.layers.Permute"),
        (_network(taken=(None, 192)), Head.SOFTMAX, 3, "found an input of 192, the spec's steps give 8×8×3"),
        (_network(given=(None, 2, 2, 3)), Head.SOFTMAX, 3, "found an output of 2×2×3, expected a row of 3"),
        (GOOD, Head.SOFTMAX, 4, "found 3 outputs, expected 4 for the 4 labels a, b, c, d and head softmax. Give"),
        (_network(given=(None, 2)), Head.SIGMOID, 2, "found 2 outputs, expected 1 .* use softmax or indep"),
        (_network(given=(None, 1)), Head.SOFTMAX, 2, "found 1 outputs?, expected 2 .* and head sigmoid"),
    ],
)  # fmt: skip
def test_shapes_that_contradict_the_spec_are_named_with_a_remedy(
    network: Network, head: Head, labels: int, says: str
) -> None:
    with pytest.raises(ExportError, match=says) as caught:
        check_shapes(network, _spec(head, labels))
    assert "\n" not in str(caught.value)


def test_an_open_size_and_one_probability_for_two_labels_fit() -> None:
    check_shapes(_network(taken=(None, None, None, 3)), _spec(Head.SOFTMAX))
    single = _network(given=(None, 1))
    assert complements(single, _spec(Head.PROBABILITIES, 2))
    check_shapes(single, _spec(Head.PROBABILITIES, 2))


LOGITS, SHARES = np.array([[3.0, -7.0, 0.1]], np.float32), np.array([[0.2, 0.7, 0.1]], np.float32)


@pytest.mark.parametrize(
    ("end", "head", "given", "says"),
    [
        (
            FinalActivation.SOFTMAX,
            Head.SIGMOID,
            LOGITS,
            "ends with softmax; found head sigmoid in the spec, expected softmax",
        ),
        (
            FinalActivation.SIGMOID,
            Head.SOFTMAX,
            LOGITS,
            "ends with sigmoid; found head softmax .* sigmoid or independent_sigmoids",
        ),
        (FinalActivation.SOFTMAX, Head.PROBABILITIES, LOGITS, "ends with softmax; found head probabilities"),
        (FinalActivation.LOGITS, Head.PROBABILITIES, SHARES, "ends with no activation; found head probabilities"),
        (
            FinalActivation.UNKNOWN,
            Head.SOFTMAX,
            SHARES,
            r"were 0\.1\.\.0\.7, as probabilities are; .* Set head probabilities",
        ),
        (
            FinalActivation.UNKNOWN,
            Head.PROBABILITIES,
            LOGITS,
            r"were -7\.\.3; found head probabilities, expected 0\.\.1",
        ),
        (FinalActivation.LOGITS, Head.SOFTMAX, LOGITS * np.inf, "found 3 of 3 outputs that are not finite"),
    ],
)
def test_a_head_that_contradicts_the_end_is_refused(end: FinalActivation, head: Head, given: Any, says: str) -> None:
    with pytest.raises(ExportError, match=says):
        check_end(GOOD, end, _spec(head, 2 if head is Head.SIGMOID else 3), given)


@pytest.mark.parametrize(
    ("end", "head", "given"),
    [
        (FinalActivation.SOFTMAX, Head.SOFTMAX, LOGITS),
        (FinalActivation.SIGMOID, Head.INDEPENDENT_SIGMOIDS, LOGITS),
        (FinalActivation.LOGITS, Head.INDEPENDENT_SIGMOIDS, SHARES),
        (FinalActivation.UNKNOWN, Head.PROBABILITIES, SHARES),
        (FinalActivation.UNKNOWN, Head.SOFTMAX, LOGITS),
    ],
)
def test_a_head_that_agrees_with_the_end_passes(end: FinalActivation, head: Head, given: Any) -> None:
    check_end(GOOD, end, _spec(head), given)
