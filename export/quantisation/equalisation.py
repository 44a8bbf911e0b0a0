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
4. A BatchNorm before a ReLU that folds into no convolution, as DenseNet's after each concatenation, becomes one too,
   and the converter puts its ReLU into it. It would be a multiplication and an addition, each rounded. What it
   reads is drawn together before (:mod:`export.quantisation.concat_ranges`). Measured on DenseNet121 with Dense 8,
   one thread, by processor time: 2.70 times as fast as float32 on LiteRT where it was 2.48, 2.84 on onnxruntime
   where it was 2.07; mean |Δ logit| 2.4 where it was 24. It costs 13 bytes a channel: 3.67 times smaller, without
   it 3.90.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from export.quantisation import concat_ranges
from export.quantisation.batch_norms import consumer, factors, identity, is_plain, maker, passes, relative_ranges
from export.source.keras_model import load_to_logits

Floats = npt.NDArray[np.float32]

TOGETHER = 0.4
"""0 leaves the ranges as they are, 1 makes them equal; .4 gave the smallest error of .25, .4 and .5 on idc-patch."""

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

    A model that has none of this, or whose logits would not stay, is saved as it is.
    """
    import keras

    model = load_to_logits(model_path)
    chains = list(_chains(model))
    loose = set(_loose(model))
    if chains or loose:
        tensors = np.load(tensors_path)
        before = np.asarray(model(tensors[:_COMPARED], training=False))
        if chains:
            watched = keras.Model(model.inputs, [chain.norm.output for chain in chains])
            for chain, values in zip(chains, _as_list(watched.predict(tensors, verbose=0)), strict=True):
                _rescale(chain, relative_ranges(values) ** TOGETHER)
        concat_ranges.draw_together(model, loose, tensors)
        kept = {chain.norm.name for chain in chains if len(chain.norm.output.shape) == 4}
        gone = {chain.norm.name for chain in chains if _fold(chain)}
        model = _with_depthwise(model, (kept | loose) - gone, gone)
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
    for norm in filter(is_plain, model.operations):
        before = maker(norm.input)
        if not isinstance(before, weighted) or before.activation.__name__ != "relu" or not before.use_bias:
            continue
        after = consumer(model, norm)
        while isinstance(after, passing):
            after = consumer(model, after)
        if isinstance(after, weighted) and getattr(after, "groups", 1) == 1 and consumer(model, before) is norm:
            yield _Chain(before, norm, after)


def _loose(model: Any) -> Iterator[str]:
    """Yield the names of the BatchNorms of maps that a ReLU of their own follows, and that fold into no convolution."""
    from keras import layers

    for norm in filter(is_plain, model.operations):
        after, before = consumer(model, norm), maker(norm.input)
        rectified = isinstance(after, (layers.Activation, layers.ReLU)) and passes(after)
        weighted = isinstance(before, (layers.Conv2D, layers.DepthwiseConv2D, layers.SeparableConv2D))
        folds = weighted and before.activation.__name__ == "linear" and consumer(model, before) is norm
        if len(norm.output.shape) == 4 and rectified and not folds:
            yield norm.name


def _rescale(chain: _Chain, after: Floats) -> None:
    """Divide BatchNorm's channels by ``after``, leave ±1 as its factors, and make up for both in the weights."""
    norm = chain.norm
    scale, shift = factors(norm)
    before = np.where(np.abs(scale) > TINY, after / np.maximum(np.abs(scale), TINY), 1.0)
    weights, bias = chain.before.get_weights()
    chain.before.set_weights([weights / before, bias / before])
    norm.set_weights([scale * before / after, shift / after, *identity(norm)])
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


def _with_depthwise(model: Any, names: set[str], gone: set[str]) -> Any:
    """Return a copy in which the named BatchNorms are 1×1 depthwise convolutions.

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
        original = model.get_layer(layer.name)
        layer.set_weights(_depthwise(original) if layer.name in names else original.get_weights())
    return copy


def _depthwise(norm: Any) -> list[Floats]:
    """Return the weights, 1×1×channels×1, and the bias of the depthwise convolution that a BatchNorm is."""
    scale, shift = factors(norm)
    return [scale.reshape(1, 1, -1, 1), shift]
