"""Round weights to the int8 grid, so that the fitted weights are those of the int8 file.

An int8 file stores every filter as integers -127..127 times a scale (symmetric, one scale per output channel; Jacob et
al. 2018, CVPR; Krishnamoorthi 2018, arXiv:1806.08342). BatchNorm multiplies whole filters, so filters stay on the grid
when BatchNorm is folded into them. Rounding shifts the outputs. Measuring the averages of the following BatchNorm again
removes the shift (Sun et al. 2019, arXiv:1810.05723).
"""

from __future__ import annotations

from collections.abc import Iterable

import keras
import numpy as np
import numpy.typing as npt

from training.data.batches import Batches

LEVELS = 127
PASSES = 3
"""Passes of the training images through the rounded network. Averages of momentum 0.9 need a few dozen batches."""

Kernel = npt.NDArray[np.float32]


def round_kernel(kernel: Kernel, channel_axis: int) -> Kernel:
    """Return the kernel (float32) with every output channel rounded to its own grid.

    The largest absolute value of a channel does not change.
    """
    others = tuple(axis for axis in range(kernel.ndim) if axis != channel_axis)
    factor = np.abs(kernel).max(axis=others, keepdims=True) / LEVELS
    safe = np.where(factor > 0, factor, 1.0)
    return np.asarray(np.rint(kernel / safe) * safe, dtype=np.float32)


def round_filters(layers: Iterable[keras.layers.Layer]) -> None:
    """Round the filters of every convolution to the grid, in place. Dense layers do not change."""
    for layer in layers:
        if isinstance(layer, keras.layers.DepthwiseConv2D):
            layer.kernel.assign(round_kernel(np.asarray(layer.kernel), channel_axis=2))
        elif isinstance(layer, keras.layers.Conv2D):
            layer.kernel.assign(round_kernel(np.asarray(layer.kernel), channel_axis=3))


def settle(model: keras.Model, batches: Batches) -> None:
    """Round the filters, then measure BatchNorm's averages again on training images. No other weight changes."""
    round_filters(model.layers)
    for _ in range(PASSES):
        for index in range(len(batches)):
            model(batches.images(index), training=True)
        batches.on_epoch_end()
