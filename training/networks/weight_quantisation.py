"""Weights on the grid that int8 stores: what is fitted is then what the device multiplies with.

An int8 file holds every filter as whole numbers of -127..127 times the filter's own factor (symmetric, one factor an
output channel; Jacob et al. 2018, CVPR; Krishnamoorthi 2018, arXiv:1806.08342). BatchNorm multiplies whole filters, so
filters that lie on the grid still do when it is folded into them. Rounding shifts what comes out; the averages
of the BatchNorm behind it, measured anew, take the shift out again (Sun et al. 2019, arXiv:1810.05723).
"""

from __future__ import annotations

from collections.abc import Iterable

import keras
import numpy as np
import numpy.typing as npt

from training.data.batches import Batches

LEVELS = 127
PASSES = 3
"""Times that the training images go through the rounded network; averages of momentum .9 need a few dozen batches."""

Kernel = npt.NDArray[np.float32]


def round_kernel(kernel: Kernel, channel_axis: int) -> Kernel:
    """Return the kernel with every output channel on its own grid; the largest value of a channel stays as it is."""
    others = tuple(axis for axis in range(kernel.ndim) if axis != channel_axis)
    factor = np.abs(kernel).max(axis=others, keepdims=True) / LEVELS
    safe = np.where(factor > 0, factor, 1.0)
    return np.asarray(np.rint(kernel / safe) * safe, dtype=np.float32)


def round_filters(layers: Iterable[keras.layers.Layer]) -> None:
    """Put the filters of every convolution on the grid, in place; dense layers stay as they are."""
    for layer in layers:
        if isinstance(layer, keras.layers.DepthwiseConv2D):
            layer.kernel.assign(round_kernel(np.asarray(layer.kernel), channel_axis=2))
        elif isinstance(layer, keras.layers.Conv2D):
            layer.kernel.assign(round_kernel(np.asarray(layer.kernel), channel_axis=3))


def settle(model: keras.Model, batches: Batches) -> None:
    """Round the filters, then let BatchNorm measure its averages on training images; nothing else moves."""
    round_filters(model.layers)
    for _ in range(PASSES):
        for index in range(len(batches)):
            model(batches[index][0], training=True)
        batches.on_epoch_end()
