"""Replace layers that a converter lacks by other layers that compute the same.

Frameworks are imported inside functions, because only child processes may import them.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

_AS_MATRICES = ("bicubic", "lanczos3", "lanczos5")
"""Interpolations that neither TFLite nor tf2onnx has as the same operator. Each is linear, first along one axis, then
along the other, so it is a product with one constant matrix for each axis."""


def with_equivalents(network: Any) -> Any:
    """Return a Keras network without the layers below; ``network`` itself if it has none of them.

    - A transposed convolution with dilation becomes one without, whose kernel has zeros between the weights.
    - A ``Resizing`` or ``UpSampling2D`` by cubes or Lanczos' windows becomes two products with constant matrices.

    Args:
        network: a functional network with one input of fixed size.
    """
    import keras

    if not any(_replaced(layer) for layer in network._flatten_layers()):
        return network

    def replacement(layer: Any) -> Any:
        if _is_dilated(layer):
            return _undilated(layer)
        return _matrices(layer) if _is_resize(layer) else layer

    return keras.models.clone_model(network, clone_function=replacement, recursive=True)


def _replaced(layer: Any) -> bool:
    return _is_dilated(layer) or _is_resize(layer)


def _is_dilated(layer: Any) -> bool:
    from keras import layers

    transposed = (layers.Conv1DTranspose, layers.Conv2DTranspose, layers.Conv3DTranspose)
    return isinstance(layer, transposed) and max(layer.dilation_rate) > 1


def _undilated(layer: Any) -> Any:
    kernel, *bias = layer.get_weights()
    sides = tuple((side - 1) * rate + 1 for side, rate in zip(layer.kernel_size, layer.dilation_rate, strict=True))
    spread = np.zeros((*sides, *kernel.shape[len(sides) :]), kernel.dtype)
    spread[tuple(slice(None, None, rate) for rate in layer.dilation_rate)] = kernel
    plain = type(layer).from_config(layer.get_config() | {"kernel_size": sides, "dilation_rate": [1] * len(sides)})
    plain.build(layer.input.shape)
    plain.set_weights([spread, *bias])
    return plain


def _is_resize(layer: Any) -> bool:
    from keras import layers

    if not isinstance(layer, layers.Resizing | layers.UpSampling2D) or layer.interpolation not in _AS_MATRICES:
        return False
    stretched = not any(getattr(layer, name, False) for name in ("crop_to_aspect_ratio", "pad_to_aspect_ratio"))
    return stretched and layer.data_format == "channels_last" and None not in layer.input.shape[1:]


def _matrices(layer: Any) -> Any:
    import keras

    _, height, width, channels = layer.input.shape
    to_height, to_width = layer.output.shape[1:3]
    rows = keras.layers.EinsumDense("bhwc,hi->biwc", (to_height, width, channels), name=f"{layer.name}_rows")
    columns = keras.layers.EinsumDense("bhwc,wi->bhic", (to_height, to_width, channels), name=f"{layer.name}_columns")
    made = keras.Sequential([keras.Input((height, width, channels)), rows, columns], name=layer.name)
    rows.set_weights([_matrix(height, to_height, layer.interpolation)])
    columns.set_weights([_matrix(width, to_width, layer.interpolation)])
    return made


def _matrix(side: int, to_side: int, interpolation: str) -> npt.NDArray[np.float32]:
    """Return the matrix, side×to_side, that resizes an axis: the unit vectors, resized by Keras."""
    import keras

    units = np.eye(side, dtype=np.float32)[None, :, :, None]
    resized = keras.ops.image.resize(units, (to_side, side), interpolation=interpolation, antialias=False)
    return np.asarray(resized)[0, :, :, 0].T
