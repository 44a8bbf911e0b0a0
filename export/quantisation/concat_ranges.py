"""Draw together the ranges of channels that concatenations join, where only BatchNorms read them.

A concatenation has one int8 scale, and DenseNet's joins the maps of all its layers: a channel of a hundredth of the
widest one's range keeps two or three steps of 256, and the BatchNorm that follows makes them large. But a factor of
such a channel can go from the BatchNorms that read it into the convolution that makes it, whose weights have a scale
for each channel: all get the same range, and nothing else gets coarser (Nagel et al. 2019, Data-Free Quantization,
ICCV, for convolutions that follow each other).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from export.quantisation.batch_norms import Floats, factors, identity, is_plain, passes, relative_ranges

Channels = npt.NDArray[np.int64]
"""The number of the maker's channel for each channel of a map; below 0 where a factor cannot go back to it."""

_BATCH = 8


class _Graph(NamedTuple):
    made: list[tuple[Any, Channels]]  # convolutions, or the BatchNorms that fold into them, and their own channels
    read: list[tuple[Any, Channels]]  # BatchNorms, and the channels that they read
    fixed: set[int]  # channels that something else reads, too
    size: int  # how many channels were numbered


def draw_together(model: Any, names: set[str], tensors: Floats) -> None:
    """Change the weights of ``model`` so that the channels which the named BatchNorms read have one range.

    Args:
        tensors: images on which ranges are measured, float32 N×H×W×C.
    """
    graph = _traced(model, names)
    readers = [(norm, channels) for norm, channels in graph.read if (channels >= 0).any()]
    if not readers:
        return
    largest = np.zeros(graph.size, dtype=np.float32)
    for (_, channels), found in zip(readers, _largest(model, [norm for norm, _ in readers], tensors), strict=True):
        known = channels >= 0
        np.maximum.at(largest, channels[known], found[known])
    smaller = relative_ranges(largest[np.newaxis])
    smaller[sorted(graph.fixed)] = 1.0
    for maker, channels in graph.made:
        _divide(maker, smaller[channels])
    for norm, channels in readers:
        scale, shift = factors(norm)
        norm.set_weights([scale * np.where(channels >= 0, smaller[channels], 1.0), shift, *identity(norm)])


def _traced(model: Any, names: set[str]) -> _Graph:
    """Follow each channel from its maker through layers that a positive factor passes."""
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
            if once and _makes(layer):
                own = np.arange(graph.size, graph.size + layer.output.shape[-1])
                graph.made.append((layer, own))
                known[id(layer.output)] = own
                graph = graph._replace(size=graph.size + len(own))
    for tensor in model.outputs:
        graph.fixed.update(known.get(id(tensor), np.zeros(0, np.int64)).tolist())
    return graph


def _makes(layer: Any) -> bool:
    """Whether the layer can take a positive factor of each of its channels into its weights."""
    from keras import layers

    if isinstance(layer, layers.Conv2D):
        return layer.activation.__name__ in ("linear", "relu")
    return is_plain(layer) and len(layer.output.shape) == 4


def _divide(maker: Any, by: Floats) -> None:
    """Divide the output of a convolution or BatchNorm, channel by channel."""
    if is_plain(maker):
        scale, shift, *rest = maker.get_weights()
        maker.set_weights([scale / by, shift / by, *rest])
    else:
        maker.set_weights([weights / by for weights in maker.get_weights()])  # channels are the last axis of each


def _largest(model: Any, norms: list[Any], tensors: Floats) -> list[Floats]:
    """Return the largest absolute value of each channel that the BatchNorms read."""
    import keras

    outputs = [keras.ops.max(keras.ops.abs(norm.input), axis=(1, 2)) for norm in norms]
    found = keras.Model(model.inputs, outputs).predict(tensors, batch_size=_BATCH, verbose=0)
    return [values.max(axis=0) for values in (found if isinstance(found, list) else [found])]
