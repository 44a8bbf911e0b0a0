"""Equalise the ranges of concatenated channels if only BatchNorms read them.

A concatenation has one int8 scale. DenseNet concatenates the maps of all its layers: a channel with 1 % of the widest
channel's range keeps two or three of 256 steps, and the next BatchNorm amplifies that error. A channel's factor can
move from the BatchNorms that read the channel to the convolution that computes it. The convolution's weights have one
scale per channel, so all channels get the same range and no other tensor gets coarser steps (Nagel et al. 2019,
Data-Free Quantization, ICCV, for consecutive convolutions).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from export.quantisation.batch_norms import Floats, factors, identity, is_plain, passes, relative_ranges
from export.source.stored_tensors import Tensors, batches

Channels = npt.NDArray[np.int64]
"""For each channel of a map, the number of the channel in its producer; below 0 if no factor can move there."""

_BATCH = 8


class _Graph(NamedTuple):
    made: list[tuple[Any, Channels]]  # producers (convolutions, or BatchNorms that fold into them) and their channels
    read: list[tuple[Any, Channels]]  # BatchNorms and their input channels
    fixed: set[int]  # channels that other layers read too
    size: int  # number of channels


def draw_together(model: Any, names: set[str], tensors: Tensors) -> None:
    """Change the weights of ``model`` so that the input channels of the named BatchNorms have equal ranges.

    Args:
        names: names of the BatchNorms.
        tensors: preprocessed images on which ranges are measured, float32 N×H×W×C.
    """
    graph = _trace_channels(model, names)
    readers = [(norm, channels) for norm, channels in graph.read if (channels >= 0).any()]
    if not readers:
        return
    largest = np.zeros(graph.size, dtype=np.float32)
    measured = largest_values(model, [norm.input for norm, _ in readers], tensors, _BATCH)
    for (_, channels), found in zip(readers, measured, strict=True):
        known = channels >= 0
        np.maximum.at(largest, channels[known], found[known])
    smaller = relative_ranges(largest[np.newaxis])
    smaller[sorted(graph.fixed)] = 1.0
    for maker, channels in graph.made:
        _divide(maker, smaller[channels])
    for norm, channels in readers:
        scale, shift = factors(norm)
        norm.set_weights([scale * np.where(channels >= 0, smaller[channels], 1.0), shift, *identity(norm)])


def _trace_channels(model: Any, names: set[str]) -> _Graph:
    """Follow each channel from its producer through layers that commute with a positive factor."""
    known: dict[int, Channels] = {}
    graph = _Graph([], [], set(), 0)
    for layer in model.operations:
        taken = [tensor for node in layer._inbound_nodes for tensor in node.input_tensors]
        channels = [known.get(id(tensor), np.full(tensor.shape[-1] or 0, -1)) for tensor in taken]
        once = len(layer._inbound_nodes) == 1 and bool(taken)
        if once and layer.name in names:
            graph.read.append((layer, channels[0]))
        elif once and passes(layer):
            known[id(layer.output)] = np.concatenate(channels)
        else:
            graph.fixed.update(*(each[each >= 0].tolist() for each in channels))
            if once and _accepts_factor(layer):
                own = np.arange(graph.size, graph.size + layer.output.shape[-1])
                graph.made.append((layer, own))
                known[id(layer.output)] = own
                graph = graph._replace(size=graph.size + len(own))
    for tensor in model.outputs:
        graph.fixed.update(known.get(id(tensor), np.zeros(0, np.int64)).tolist())
    return graph


def _accepts_factor(layer: Any) -> bool:
    """Return whether a positive factor per output channel can move into the weights of the layer."""
    from keras import layers

    if isinstance(layer, layers.Conv2D):
        return layer.activation.__name__ in ("linear", "relu")
    return is_plain(layer) and len(layer.output.shape) == 4


def _divide(maker: Any, by: Floats) -> None:
    """Divide the output of a convolution or BatchNorm by a factor per channel."""
    if is_plain(maker):
        scale, shift, *rest = maker.get_weights()
        maker.set_weights([scale / by, shift / by, *rest])
    else:
        maker.set_weights([weights / by for weights in maker.get_weights()])  # channels are the last axis of each


def largest_values(model: Any, maps: list[Any], tensors: Tensors, batch: int) -> list[Floats]:
    """Return the largest absolute value of each channel of each map (Keras tensors of the model), float32 C each.

    Args:
        model: the network.
        maps: maps or vectors, channels last.
        tensors: preprocessed images, float32 N×H×W×C.
        batch: number of images computed at once.
    """
    import keras

    outputs = [keras.ops.max(keras.ops.abs(each), axis=tuple(range(1, len(each.shape) - 1))) for each in maps]
    watched = keras.Model(model.inputs, outputs)
    largest: list[Floats] = []
    for some in batches(tensors, batch):
        found = watched.predict_on_batch(some)
        values = [each.max(axis=0) for each in (found if isinstance(found, list) else [found])]
        largest = values if not largest else list(map(np.maximum, largest, values))
    return largest
