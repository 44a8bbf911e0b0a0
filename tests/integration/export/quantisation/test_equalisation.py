"""The rewriting changes nothing in float32 and helps int8 where BatchNorm follows ReLU."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

RNG = np.random.default_rng(5)


@pytest.fixture(scope="module")
def model_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network shaped like system 4, with channels of very different ranges."""
    import keras
    from keras import layers

    keras.utils.set_random_seed(3)
    inputs = keras.Input((12, 12, 3), name="image")
    x = layers.Conv2D(8, 3, padding="same", activation="relu")(inputs)
    x = layers.BatchNormalization()(x)
    x = layers.Dropout(0.2)(layers.MaxPooling2D(2)(x))
    x = layers.Conv2D(8, 3, padding="same", activation="relu")(x)
    x = layers.Flatten()(layers.BatchNormalization()(x))
    x = layers.BatchNormalization()(layers.Dense(16, activation="relu")(x))
    model = keras.Model(inputs, layers.Activation("sigmoid")(layers.Dense(2, name="logits")(x)))
    for layer in model.layers:
        if isinstance(layer, layers.BatchNormalization):
            size = layer.gamma.shape[0]
            spread = np.exp(RNG.uniform(-3, 3, size))
            layer.set_weights([spread, RNG.normal(size=size), RNG.normal(size=size) * 0.1, RNG.uniform(0.5, 2, size)])
    path = tmp_path_factory.mktemp("equalise") / "model.keras"
    model.save(path)
    return path


@pytest.fixture(scope="module")
def tensors(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("tensors") / "tensors.npy"
    np.save(path, RNG.random((64, 12, 12, 3), dtype=np.float32))
    return path


def test_float32_logits_stay(model_path: Path, tensors: Path, tmp_path: Path) -> None:

    from export.quantisation.equalisation import write_equalised
    from export.source.keras_model import load_to_logits

    out = tmp_path / "equalised.keras"
    write_equalised(str(model_path), str(tensors), str(out))
    before, after = load_to_logits(str(model_path)), load_to_logits(str(out))
    images = np.load(tensors)
    first, second = before.predict(images, verbose=0), after.predict(images, verbose=0)
    worst = np.abs(first - second).max() / np.abs(first).max()
    assert worst < 1e-5, f"worst relative |Δ logit| {worst}"

    kinds = [type(layer).__name__ for layer in after.layers]
    assert kinds.count("DepthwiseConv2D") == 2
    assert kinds.count("BatchNormalization") == 1  # after the dense layer, with factors of one


@pytest.mark.parametrize(
    ("padding", "negative", "left"),
    [("valid", False, 0), ("valid", True, 1), ("same", False, 1)],
    ids=["positive factors", "a negative factor", "padding"],
)
def test_a_batchnorm_goes_into_a_convolution_without_padding(
    padding: str, negative: bool, left: int, tensors: Path, tmp_path: Path
) -> None:
    """Padding stands for the value before the shift, and a negative factor turns a maximum into a minimum."""
    import keras
    from keras import layers

    from export.quantisation.equalisation import write_equalised
    from export.source.keras_model import load_to_logits

    keras.utils.set_random_seed(4)
    inputs = keras.Input((12, 12, 3))
    x = layers.BatchNormalization(name="norm")(layers.Conv2D(6, 3, activation="relu")(inputs))
    x = layers.Conv2D(5, 3, padding=padding)(layers.MaxPooling2D(2)(x))
    model = keras.Model(inputs, layers.Dense(2, activation="softmax")(layers.Flatten()(x)))
    factors = np.linspace(-0.5 if negative else 0.5, 3, 6)
    model.get_layer("norm").set_weights([factors, RNG.normal(size=6), RNG.normal(size=6) * 0.1, np.full(6, 0.7)])
    model.save(tmp_path / "model.keras")
    write_equalised(str(tmp_path / "model.keras"), str(tensors), str(tmp_path / "out.keras"))
    after = load_to_logits(str(tmp_path / "out.keras"))
    kinds = [type(layer).__name__ for layer in after.layers]
    assert (kinds.count("DepthwiseConv2D"), kinds.count("BatchNormalization")) == (left, 0)
    images = np.load(tensors)
    first = load_to_logits(str(tmp_path / "model.keras")).predict(images, verbose=0)
    np.testing.assert_allclose(after.predict(images, verbose=0), first, atol=1e-5 * np.abs(first).max())


def test_int8_is_closer_to_float32_than_without(model_path: Path, tensors: Path, tmp_path: Path) -> None:
    from edge_runtime.inference.backends.base import Runtime
    from edge_runtime.inference.backends.registry import open_model
    from export.converters import to_tflite
    from export.converters.isolation import in_own_process
    from export.quantisation.equalisation import write_equalised
    from export.quantisation.schemes import Quantisation
    from export.source.keras_model import load_to_logits

    equalised = tmp_path / "equalised.keras"
    write_equalised(str(model_path), str(tensors), str(equalised))
    images = np.load(tensors)
    reference = load_to_logits(str(model_path)).predict(images, verbose=0)
    errors = []
    for source in (model_path, equalised):
        calibrated, int8 = tmp_path / "calibrated.tflite", tmp_path / "int8.tflite"
        in_own_process(to_tflite.write_calibrated, str(source), str(tensors), str(calibrated))
        in_own_process(to_tflite.write_quantised, str(calibrated), "", "", Quantisation(), str(int8))
        backend = open_model(int8.read_bytes(), Runtime.LITERT)
        errors.append(float(np.abs(backend.run(images) - reference).mean()))
    plain, better = errors
    assert better < 0.5 * plain, f"mean |Δ logit| {better} equalised, {plain} plain"


def test_a_network_without_such_chains_is_left_alone(phantom_artifact: Path, tmp_path: Path) -> None:
    from export.quantisation.equalisation import write_equalised
    from export.source.keras_model import load_to_logits

    model = phantom_artifact / "model.keras"
    write_equalised(str(model), str(tmp_path / "absent.npy"), str(tmp_path / "same.keras"))
    for ours, theirs in zip(
        load_to_logits(str(tmp_path / "same.keras")).get_weights(),
        load_to_logits(str(model)).get_weights(),
        strict=True,
    ):
        np.testing.assert_array_equal(ours, theirs)


def _dense_block(path: Path) -> None:
    """DenseNet's block: BatchNorm and ReLU after a concatenation that others read too; one channel is dead."""
    import keras
    from keras import layers

    keras.utils.set_random_seed(6)
    inputs = keras.Input((12, 12, 3), name="image")
    x = layers.Conv2D(8, 3, padding="same", use_bias=False)(inputs)
    x = layers.ReLU()(layers.BatchNormalization(name="folds")(x))
    for name in ("first", "second"):
        y = layers.ReLU()(layers.BatchNormalization(name=name)(x))
        x = layers.Concatenate()([x, layers.Conv2D(8, 3, padding="same", use_bias=False)(y)])
    x = layers.GlobalAveragePooling2D()(layers.ReLU()(layers.BatchNormalization(name="last")(x)))
    model = keras.Model(inputs, layers.Dense(2, activation="softmax")(x))
    rng = np.random.default_rng(8)
    for layer in model.layers:
        if isinstance(layer, layers.BatchNormalization):
            size = layer.gamma.shape[0]
            factors, shifts = np.exp(rng.uniform(-3, 3, size)), rng.normal(size=size)
            factors[:2] = 1e-9, -factors[1]
            layer.set_weights([factors, shifts, rng.normal(size=size) * 0.1, np.full(size, 0.7)])
    model.save(path)


def test_a_batchnorm_before_its_convolution_leaves_no_multiplication_in_int8(tensors: Path, tmp_path: Path) -> None:
    from export.converters import to_tflite
    from export.quantisation.equalisation import write_equalised
    from export.quantisation.schemes import Quantisation
    from export.source.keras_model import load_to_logits
    from tests.integration.export.networks import convert, logits, operators

    _dense_block(tmp_path / "model.keras")
    write_equalised(str(tmp_path / "model.keras"), str(tensors), str(tmp_path / "out.keras"))
    images = np.load(tensors)
    before, after = (load_to_logits(str(tmp_path / f"{name}.keras")) for name in ("model", "out"))
    first, second = before.predict(images, verbose=0), after.predict(images, verbose=0)
    np.testing.assert_allclose(second, first, atol=1e-5 * np.abs(first).max())
    norms = [layer.name for layer in after.layers if type(layer).__name__ == "BatchNormalization"]
    assert norms == ["folds"]

    found, errors = [], []
    for name in ("model", "out"):
        calibrated, int8 = tmp_path / f"{name}.calibrated", tmp_path / f"{name}.tflite"
        convert(to_tflite.write_calibrated, tmp_path / f"{name}.keras", tensors, calibrated)
        convert(to_tflite.write_quantised, calibrated, "", "", Quantisation(), int8)
        found.append(operators(int8))
        errors.append(float(np.abs(logits(int8, images) - first).mean()))
    assert {"MUL", "ADD"} <= set(found[0])
    assert not {"MUL", "ADD", "RELU"} & set(found[1])
    assert found[1].count("DEPTHWISE_CONV_2D") == 3
    assert errors[1] < 0.5 * errors[0], f"mean |Δ logit| {errors[1]} rewritten, {errors[0]} plain"
