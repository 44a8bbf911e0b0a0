"""Networks built or saved in a particular way: nested, in half precision, with several outputs, of any size."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from edge_runtime.bundle.policy import Head
from export.coverage.small import network
from export.coverage.subject import Subject

STRUCTURE, PRECISION = "structure", "precision"


def subjects() -> Iterator[Subject]:
    """Yield them."""
    yield Subject("one sigmoid output", STRUCTURE, partial(network, outputs=1, activation="sigmoid"), Head.SIGMOID)
    yield Subject("logits", STRUCTURE, partial(network, activation="linear"))
    yield Subject("two sigmoids", STRUCTURE, partial(network, activation="sigmoid"), Head.INDEPENDENT_SIGMOIDS)
    yield Subject("Sequential", STRUCTURE, _sequential)
    yield Subject("nested networks", STRUCTURE, _nested)
    yield Subject("one layer used twice", STRUCTURE, _shared)
    yield Subject("Rescaling inside", STRUCTURE, partial(_first, _rescaling), scaled=False)
    yield Subject("Rescaling by a list inside", STRUCTURE, partial(_first, _rescaling_by_channel), scaled=False)
    yield Subject("Normalization inside", STRUCTURE, partial(_first, _normalization), scaled=False)
    yield Subject("arithmetic inside (x / 255)", STRUCTURE, partial(_first, _divided), scaled=False)
    yield Subject("augmentation model inside", STRUCTURE, partial(_first, _augmentation))
    yield Subject("two outputs, one chosen", STRUCTURE, _two_outputs, output="scores")
    yield Subject("two outputs in a SavedModel, one chosen", STRUCTURE, _named_outputs, ending="", output="scores")
    for ending, kind in ((".keras", ""), (".h5", " in .h5"), ("", " in a SavedModel")):
        yield Subject(f"any image size{kind}", STRUCTURE, partial(network, shape=(None, None, 3)), ending=ending)
        yield Subject(f"batch of one{kind}", STRUCTURE, network, ending=ending, after=_batch_of_one)
        for policy in ("mixed_float16", "mixed_bfloat16"):
            yield Subject(f"{policy}{kind}", PRECISION, partial(_in, policy), ending=ending)
    yield Subject("float64", PRECISION, partial(_in, "float64"))
    yield Subject("float16", PRECISION, partial(_in, "float16"))


def _sequential() -> Any:
    import keras
    from keras import layers

    return keras.Sequential(
        [
            keras.Input((32, 32, 3)),
            layers.Conv2D(64, 3, strides=2, activation="relu"),
            layers.Conv2D(32, 3, strides=2, activation="relu"),
            layers.Flatten(),
            layers.Dense(2, activation="softmax"),
        ]
    )


def _nested() -> Any:
    import keras
    from keras import layers

    inner = keras.Sequential([layers.Conv2D(32, 3, activation="relu"), layers.BatchNormalization()])
    image = keras.Input((16, 16, 32))
    outer = keras.Model(image, layers.Conv2D(32, 1)(inner(image)))
    return network(outer)


def _shared() -> Any:
    from keras import layers

    shared = layers.Conv2D(32, 3, padding="same", activation="relu", name="shared")
    return network(lambda x: shared(shared(x)))


def _first(layer: Callable[[Any], Any]) -> Any:
    return network(first=layer)


def _rescaling(x: Any) -> Any:
    from keras import layers

    return layers.Rescaling(1 / 127.5, -1.0)(x)


def _rescaling_by_channel(x: Any) -> Any:
    from keras import layers

    return layers.Rescaling([1 / 58.0, 1 / 57.0, 1 / 57.5], [-2.1, -2.0, -1.8])(x)


def _normalization(x: Any) -> Any:
    from keras import layers

    return layers.Normalization(mean=[120.0, 115.0, 100.0], variance=[3300.0, 3200.0, 3250.0])(x)


def _divided(x: Any) -> Any:
    return x / 255.0 - 0.5


def _augmentation(x: Any) -> Any:
    import keras
    from keras import layers

    return keras.Sequential([layers.RandomFlip(), layers.RandomRotation(0.1), layers.RandomContrast(0.2)])(x)


def _two_outputs() -> Any:
    import keras
    from keras import layers

    model = network()
    hidden = model.get_layer("pool").output
    return keras.Model(model.inputs[0], [layers.Dense(3, name="density")(hidden), model.outputs[0]])


def _named_outputs() -> Any:
    import keras
    from keras import layers

    model = network()
    hidden = model.get_layer("pool").output
    named = {"density": layers.Dense(3, name="density")(hidden), "scores": model.outputs[0]}
    return keras.Model(model.inputs[0], named)


def _batch_of_one(model: Any) -> Any:
    import keras

    fixed = keras.models.clone_model(model, input_tensors=keras.Input(batch_shape=(1, 32, 32, 3)))
    fixed.set_weights(model.get_weights())
    return fixed


def _in(policy: str) -> Any:
    import keras
    from keras import layers

    keras.config.set_dtype_policy(policy)
    try:
        return network(lambda x: layers.Activation("relu")(layers.BatchNormalization()(layers.Conv2D(32, 3)(x))))
    finally:
        keras.config.set_dtype_policy("float32")
