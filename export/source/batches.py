"""A network that was built for one image at a time, for any number of them.

Frameworks are imported inside functions, because only child processes may import them.
"""

from __future__ import annotations

from typing import Any


def with_open_batch(model: Any) -> Any:
    """Return a Keras model that takes any number of images.

    That is the model itself if it does, or if one of its layers needs the number: a SavedModel, for example.
    """
    import keras

    taken = model.inputs[0]
    if len(model.inputs) != 1 or taken.shape[0] is None or keras.layers.TFSMLayer in map(type, model.layers):
        return model
    image = keras.Input(taken.shape[1:], dtype=taken.dtype, name="image")
    try:
        copy = keras.models.clone_model(model, input_tensors=image)
    except (ValueError, TypeError):
        return model
    if any(given.shape[0] is not None for given in copy.outputs):
        return model
    copy.set_weights(model.get_weights())
    return copy
