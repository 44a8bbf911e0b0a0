"""A network with a map of the lesion: outputs, logits against sums in NumPy, and what a fit may change."""

from __future__ import annotations

import keras
import numpy as np
import numpy.typing as npt
import pytest

from training.fitting.crop_fit import SCORES, compile_for_crops
from training.networks.backbones import MobileNet
from training.networks.keras_model import logits_model
from training.networks.lesion_attention import HEAT, SUSPICION, LesionAttention, classifier

SIDE_PX, GRID, LABELS = 48, 3, 3
RNG = np.random.default_rng(21)
IMAGES = RNG.uniform(-1, 1, (5, SIDE_PX, SIDE_PX, 1)).astype(np.float32)
FEATURES = "conv_pw_11_relu"


@pytest.fixture(scope="module")
def model() -> keras.Model:
    """A network of 3×3 cells. Filters are enlarged, or features would vanish; biases are random, not 0."""
    keras.utils.set_random_seed(21)
    built = LesionAttention(MobileNet(side_px=SIDE_PX, channels=1, taps=(11,), fixed=3), labels=LABELS).build(None)
    for layer in built.layers:
        if layer.name.startswith("conv") and len(layer.get_weights()) == 1:
            layer.set_weights([6 * kernel for kernel in layer.get_weights()])
        if isinstance(layer, keras.layers.Dense) or layer.name == "heat_map" or layer.name.endswith("_evidence"):
            layer.set_weights([RNG.normal(0, 1, np.shape(weight)).astype(np.float32) for weight in layer.get_weights()])
    return built


def outputs(model: keras.Model, layer: str) -> npt.NDArray[np.float32]:
    return np.asarray(keras.Model(model.input, model.get_layer(layer).output).predict(IMAGES, verbose=0))


def expected(model: keras.Model, name: str) -> npt.NDArray[np.float64]:
    """Return the attended evidence plus the dense layer on the mean, in float64."""
    features = outputs(model, FEATURES).astype(np.float64).reshape(len(IMAGES), GRID * GRID, -1)

    def affine(layer: str, rows: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        kernel, bias = model.get_layer(layer).get_weights()
        return np.asarray(rows @ kernel.reshape(-1, kernel.shape[-1]) + bias)

    heat = affine("heat_map", features)[..., 0]
    attention = np.exp(heat - heat.max(axis=1, keepdims=True))
    attention /= attention.sum(axis=1, keepdims=True)
    seen = (attention[..., np.newaxis] * affine(f"{name}_evidence", features)).sum(axis=1)
    return np.asarray(seen + affine(f"{name}_of_mean", features.mean(axis=1)))


def test_there_are_scores_a_map_and_a_suspicion(model: keras.Model) -> None:
    found = model.predict(IMAGES, verbose=0)
    assert {name: part.shape for name, part in found.items()} == {
        SCORES: (5, LABELS),
        HEAT: (5, GRID, GRID),
        SUSPICION: (5, 1),
    }
    assert found[SCORES].sum(axis=1) == pytest.approx(np.ones(5), abs=1e-6)


@pytest.mark.parametrize("name", ["logits", SUSPICION])
def test_logits_are_the_attended_evidence_plus_a_dense_layer_on_the_mean(model: keras.Model, name: str) -> None:
    found, wanted = outputs(model, name), expected(model, name)
    assert wanted.std() > 0.1
    assert np.abs(found - wanted).max() <= 1e-5 * np.abs(wanted).max(), f"differs by {np.abs(found - wanted).max()}"


def test_the_map_is_that_of_the_cells_rows_from_the_top(model: keras.Model) -> None:
    kernel, bias = model.get_layer("heat_map").get_weights()
    wanted = (outputs(model, FEATURES).astype(np.float64) @ kernel[0, 0] + bias)[..., 0]
    assert np.abs(outputs(model, HEAT) - wanted).max() <= 1e-5 * np.abs(wanted).max()


def test_the_classifier_has_one_output_with_the_same_scores(model: keras.Model) -> None:
    alone = classifier(model)
    assert len(alone.outputs) == 1
    assert alone.input_shape == (None, SIDE_PX, SIDE_PX, 1)
    np.testing.assert_array_equal(alone.predict(IMAGES, verbose=0), model.predict(IMAGES, verbose=0)[SCORES])
    assert not {"suspicion_evidence", "suspicion_of_mean"} & {layer.name for layer in alone.layers}
    logits = logits_model(alone).predict(IMAGES, verbose=0)
    assert np.abs(logits - expected(model, "logits")).max() <= 1e-4


def _weights(model: keras.Model) -> dict[str, npt.NDArray[np.float32]]:
    return {weight.path: np.asarray(weight).copy() for weight in model.weights}


def test_fixed_blocks_keep_their_weights_and_each_output_reaches_the_others(model: keras.Model) -> None:
    fitted = keras.models.clone_model(model)
    fitted.set_weights(model.get_weights())
    for mine, other in zip(fitted.layers, model.layers, strict=True):
        mine.trainable = other.trainable
    compile_for_crops(fitted, keras.optimizers.SGD(0.1))
    before = _weights(fitted)
    targets = {
        SCORES: np.eye(LABELS, dtype=np.float32)[[0, 1, 2, 0, 1]],
        HEAT: RNG.random((5, GRID, GRID), dtype=np.float32),
        SUSPICION: RNG.random((5, 1), dtype=np.float32),
    }
    fitted.fit(IMAGES, targets, batch_size=5, verbose=0)
    moved = {path.split("/")[-2] for path, value in _weights(fitted).items() if not np.array_equal(before[path], value)}
    fixed = {layer.name for layer in model.layers if not layer.trainable and layer.weights}
    assert {"conv1", "conv_dw_1", "conv_pw_3", "conv_pw_3_bn"} <= fixed
    assert not moved & fixed
    heads = {f"{name}_{part}" for name in ("logits", SUSPICION) for part in ("evidence", "of_mean")}
    assert {"conv_pw_4", "conv_pw_11", "heat_map"} | heads <= moved


def test_an_unknown_suspicion_weighs_nothing(model: keras.Model) -> None:
    compile_for_crops(model, keras.optimizers.SGD(0.0))
    ones = np.ones(5, np.float32)
    weights = {SCORES: ones, HEAT: ones[:, np.newaxis], SUSPICION: 0 * ones}
    losses = []
    for suspicion in (0.0, 1.0):
        targets = {
            SCORES: np.eye(LABELS, dtype=np.float32)[[0, 1, 2, 0, 1]],
            HEAT: np.zeros((5, GRID, GRID), np.float32),
            SUSPICION: np.full((5, 1), suspicion, np.float32),
        }
        found = model.evaluate(IMAGES, targets, sample_weight=weights, verbose=0, return_dict=True)
        losses.append(found["loss"])
    assert losses[0] == losses[1]
