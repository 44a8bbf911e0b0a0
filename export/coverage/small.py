"""A small convolutional network around the layers that are tried."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from export.coverage.settling import SIDE


def network(
    middle: Callable[[Any], Any] | None = None,
    first: Callable[[Any], Any] | None = None,
    *,
    outputs: int = 2,
    activation: str = "softmax",
    shape: tuple[int | None, int | None, int] = (SIDE, SIDE, 3),
) -> Any:
    """Return a network of about 20,000 weights.

    Args:
        middle: layers between its two convolutions, on a map 16×16×32; its result may have any rank.
        first: layers before its first convolution, on the image.
        outputs: number of outputs.
        activation: the last activation.
        shape: height, width and channels of the image; None is any size.
    """
    import keras
    from keras import layers

    image = keras.Input(shape, name="image")
    x = image if first is None else first(image)
    x = layers.Conv2D(32, 3, strides=2, padding="same", activation="relu", name="before")(x)
    x = x if middle is None else middle(x)
    if len(x.shape) == 4:
        x = layers.Conv2D(64, 3, strides=2, padding="same", activation="relu", name="after")(x)
        x = layers.GlobalAveragePooling2D(name="pool")(x)
    elif len(x.shape) == 3:
        x = layers.GlobalAveragePooling1D(name="pool")(x)
    x = layers.Dense(64, activation="relu", name="hidden")(x)
    return keras.Model(image, layers.Dense(outputs, activation=activation, name="scores")(x))


def signed(x: Any) -> Any:
    """Return a map of the same shape with values mostly in -3..3; the map of :func:`network` has none below 0."""
    from keras import layers

    return layers.BatchNormalization(name="spread")(layers.Conv2D(32, 3, padding="same", name="both_signs")(x))


def sequence(x: Any, width: int = 32) -> Any:
    """Return a map 16×16×32 as a sequence of 16 patches, N×16×width."""
    from keras import layers

    x = layers.Conv2D(width, 4, strides=4, name="patches")(x)
    return layers.Reshape((16, width), name="sequence")(x)
