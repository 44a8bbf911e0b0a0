"""Rewrite a network whose BatchNorm follows its ReLU, so that int8 serves all its channels.

An int8 tensor has one scale for all channels. In such a network (system 4) channels differ in range, and so do
BatchNorm's factors: where a unit hardly fires, its factor is thirty times the others', and quantised together
with it the others round to nothing. In float32 none of this matters, and the rewriting changes nothing there:

1. A positive factor commutes with ReLU. BatchNorm's factors (but for their sign) move into the weights before.
2. A factor commutes with pooling and dropout. The ranges of BatchNorm's channels are drawn together, by
   ``TOGETHER`` in the logarithm; the weights after take it up, and share the burden, since these have one int8
   scale for all their inputs (cross-layer equalisation: Nagel et al. 2019, Data-Free Quantization, ICCV).
3. BatchNorm becomes a 1×1 depthwise convolution: one rounding instead of two, and a bias of 32 bits. Where its
   factors are all positive and a convolution without padding follows, its shift goes into that one's bias and
   nothing is left of it: on the large maps of system 1 the depthwise convolutions cost as much as the others.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from export.keras_model import load_to_logits

Floats = npt.NDArray[np.float32]

TOGETHER = 0.4
"""0 leaves the ranges as they are, 1 makes them equal; .4 gave the smallest error of .25, .4 and .5 on idc-patch."""

WIDEST = 64.0
"""Largest factor by which a range is changed."""

TINY = 1e-6
"""A BatchNorm factor below this switches its channel off, and stays as it is."""


STAYS = 1e-4
"""Largest change of a logit, relative to the largest, up to which the rewritten network is the same one."""

_COMPARED = 8


class _Chain(NamedTuple):
    before: Any  # convolution or dense with ReLU
    norm: Any  # BatchNormalization
    after: Any  # convolution or dense


def write_equalised(model_path: str, tensors_path: str, out: str) -> None:
    """Save the rewritten model, cut at its logits; ranges are measured on saved tensors, float32 N×H×W×C.

    A model without such chains, or whose logits would not stay, is saved as it is.
    """
    import keras

    model = load_to_logits(model_path)
    chains = list(_chains(model))
    if chains:
        tensors = np.load(tensors_path)
        before = np.asarray(model(tensors[:_COMPARED], training=False))
        watched = keras.Model(model.inputs, [chain.norm.output for chain in chains])
        for chain, values in zip(chains, _as_list(watched.predict(tensors, verbose=0)), strict=True):
            _rescale(chain, _ranges(values) ** TOGETHER)
        kept = {chain.norm.name for chain in chains if len(chain.norm.output.shape) == 4}
        gone = {chain.norm.name for chain in chains if _fold(chain)}
        model = _with_depthwise(model, kept - gone, gone)
        after = np.asarray(model(tensors[:_COMPARED], training=False))
        if not np.abs(after - before).max() <= STAYS * max(1.0, np.abs(before).max()):
            model = load_to_logits(model_path)
    model.save(out)


def _as_list(given: Any) -> list[Floats]:
    return given if isinstance(given, list) else [given]


def _chains(model: Any) -> Iterator[_Chain]:
    """Yield the chains in which every layer feeds one single other."""
    from keras import layers

    weighted = (layers.Conv2D, layers.Dense)
    passing = (
        layers.MaxPooling2D,
        layers.AveragePooling2D,
        layers.GlobalAveragePooling2D,
        layers.Dropout,
        layers.Flatten,
    )
    for norm in filter(_is_plain_norm, model.operations):
        before = _maker(model, norm.input)
        if not isinstance(before, weighted) or before.activation.__name__ != "relu" or not before.use_bias:
            continue
        after = _consumer(model, norm)
        while isinstance(after, passing):
            after = _consumer(model, after)
        if isinstance(after, weighted) and getattr(after, "groups", 1) == 1 and _consumer(model, before) is norm:
            yield _Chain(before, norm, after)


def _is_plain_norm(operation: Any) -> bool:
    """Whether it is a BatchNorm over the last axis, with both factors, used once."""
    from keras import layers

    return (
        isinstance(operation, layers.BatchNormalization)
        and bool(operation.scale and operation.center)
        and len(operation._inbound_nodes) == 1
        and operation.axis in (-1, len(operation.output.shape) - 1)
    )


def _maker(model: Any, tensor: Any) -> Any:
    """Return the operation that gives ``tensor``, None if it serves in several places."""
    maker = tensor._keras_history.operation
    return maker if len(maker._inbound_nodes) == 1 else None


def _consumer(model: Any, operation: Any) -> Any:
    """Return the one operation that takes ``operation``'s output, None if there are several or none."""
    tensor = operation.output
    nodes = [(other, node) for other in model.operations for node in other._inbound_nodes]
    found = [other for other, node in nodes if any(value is tensor for value in node.input_tensors)]
    if len(found) != 1 or len(found[0]._inbound_nodes) != 1 or any(value is tensor for value in model.outputs):
        return None
    return found[0]


def _ranges(values: Floats) -> Floats:
    """Return each channel's largest absolute value over the geometric mean; 1 for one that hardly fires."""
    largest = np.abs(values).max(axis=tuple(range(values.ndim - 1)))
    live = largest > 1e-3 * largest.max()
    if not live.any():
        return np.ones_like(largest)
    relative = np.where(live, largest / np.exp(np.log(largest[live]).mean()), 1.0)
    return np.asarray(np.clip(relative, 1 / WIDEST, WIDEST), dtype=np.float32)


def _rescale(chain: _Chain, after: Floats) -> None:
    """Divide BatchNorm's channels by ``after``, leave ±1 as its factors, and make up for both in the weights."""
    norm = chain.norm
    scale = np.asarray(norm.gamma) / np.sqrt(np.asarray(norm.moving_variance) + norm.epsilon)
    shift = np.asarray(norm.beta) - np.asarray(norm.moving_mean) * scale
    before = np.where(np.abs(scale) > TINY, after / np.maximum(np.abs(scale), TINY), 1.0)
    weights, bias = chain.before.get_weights()
    chain.before.set_weights([weights / before, bias / before])
    norm.set_weights([scale * before / after, shift / after, *_identity(norm)])
    weights, *rest = chain.after.get_weights()
    inputs = weights.shape[-2]  # Flatten repeats the channels once a place
    chain.after.set_weights([weights * np.tile(after, inputs // len(after))[:, np.newaxis], *rest])


def _fold(chain: _Chain) -> bool:
    """Move BatchNorm's shift, after :func:`_rescale`, into the convolution that follows; return whether it can go.

    Padding would stand for the value before the shift, and a factor of -1 does not commute with a maximum.
    """
    gamma, shift, *_ = chain.norm.get_weights()
    if getattr(chain.after, "padding", "") != "valid" or not chain.after.use_bias or not np.allclose(gamma, 1.0):
        return False
    weights, bias = chain.after.get_weights()
    chain.after.set_weights([weights, bias + np.einsum("hwio,i->o", weights, shift)])
    return True


def _identity(norm: Any) -> list[Floats]:
    """Return a moving mean of 0, and a moving variance that is 1 together with epsilon."""
    size = np.asarray(norm.gamma).shape
    return [np.zeros(size, np.float32), np.full(size, 1.0 - norm.epsilon, np.float32)]


def _with_depthwise(model: Any, names: set[str], gone: set[str]) -> Any:
    """Return a copy in which the named BatchNorms, after :func:`_rescale`, are 1×1 depthwise convolutions.

    Args:
        gone: names of those of which nothing is left.
    """
    import keras

    def replace(layer: Any) -> Any:
        if layer.name in names:
            return keras.layers.DepthwiseConv2D(1, name=layer.name)
        return layer.__class__.from_config(layer.get_config())

    def call(layer: Any, *args: Any, **kwargs: Any) -> Any:
        if layer.name in gone:
            return args[0]
        return layer(*args) if layer.name in names else layer(*args, **kwargs)  # BatchNorm's own arguments go

    copy = keras.models.clone_model(model, clone_function=replace, call_function=call)
    for layer in copy.layers:
        weights = model.get_layer(layer.name).get_weights()
        if layer.name in names:
            factor, shift = weights[0], weights[1]
            weights = [factor.reshape(1, 1, -1, 1), shift]
        layer.set_weights(weights)
    return copy
