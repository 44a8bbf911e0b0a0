"""Rewrite a network whose BatchNorm follows its ReLU, so that int8 is accurate for all its channels.

An int8 tensor has one scale for all channels. In such a network (system 4) the ranges of channels differ, and so do
BatchNorm's factors. The factor of a rarely active unit is thirty times the others, which then round to zero in int8.
The rewriting does not change the float32 function:

1. A positive factor commutes with ReLU. The absolute values of BatchNorm's factors move into the weights before it.
2. A factor commutes with pooling and dropout. The ranges of BatchNorm's channels are partly equalised, by the exponent
   ``TOGETHER``. The weights after it are multiplied by the inverse. Equalisation is partial because these weights have
   one int8 scale for all their inputs (cross-layer equalisation: Nagel et al. 2019, Data-Free Quantization, ICCV).
3. BatchNorm becomes a 1×1 depthwise convolution: one rounding instead of two, and a 32-bit bias. If its factors are all
   positive and a convolution without padding follows, its shift moves into that convolution's bias and the BatchNorm
   is removed. On the large maps of system 1, the depthwise convolutions would take as much time as the others.
4. A BatchNorm before a ReLU that cannot be folded into a convolution, as in DenseNet after each concatenation, also
   becomes a depthwise convolution, and the converter fuses the ReLU into it. Otherwise it would be a multiplication
   and an addition, each rounded. The ranges of its inputs are equalised first
   (:mod:`export.quantisation.concat_ranges`). It costs 13 bytes per channel.

Effect of step 4 on DenseNet121 with Dense 8, one thread, processor time:

==============================  =======  ====
figure                          without  with
==============================  =======  ====
× as fast as float32, LiteRT    2.48     2.70
× as fast as float32, ORT       2.07     2.84
mean abs. Δ logit               24       2.4
× smaller than float32          3.90     3.67
==============================  =======  ====
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from export.quantisation import concat_ranges
from export.quantisation.batch_norms import consumer, factors, identity, is_plain, maker, passes, relative_ranges
from export.source.keras_model import load_to_logits
from export.source.stored_tensors import BATCH, StoredTensors

Floats = npt.NDArray[np.float32]

TOGETHER = 0.4
"""Exponent of equalisation: 0 keeps the ranges, 1 makes them equal. Of 0.25, 0.4 and 0.5, 0.4 gave the smallest error
on idc-patch."""

TINY = 1e-6
"""A BatchNorm factor below this disables its channel, and is not changed."""


STAYS = 1e-4
"""Largest allowed change of a logit by the rewriting, relative to the largest logit."""

_COMPARED = 8


class _Chain(NamedTuple):
    before: Any  # convolution or dense with ReLU
    norm: Any  # BatchNormalization
    after: Any  # convolution or dense


def write_equalised(model_path: str, tensors_path: str, out: str) -> None:
    """Save the rewritten model, cut at its logits. Ranges are measured on saved tensors, float32 N×H×W×C.

    If no rule applies, or if an output changes by more than :data:`STAYS`, the model is saved without rewriting. The
    channels of a map that is an output keep their ranges.
    """
    model = load_to_logits(model_path)
    chains = list(_chains(model))
    unfoldable = set(_unfoldable(model))
    if chains or unfoldable:
        tensors = StoredTensors(tensors_path)
        before = _outputs(model, tensors[:_COMPARED])
        if chains:
            found = concat_ranges.largest_values(model, [chain.norm.output for chain in chains], tensors, BATCH)
            for chain, values in zip(chains, found, strict=True):
                _rescale(chain, relative_ranges(values[np.newaxis]) ** TOGETHER)
        concat_ranges.draw_together(model, unfoldable, tensors)
        kept = {chain.norm.name for chain in chains if len(chain.norm.output.shape) == 4}
        gone = {chain.norm.name for chain in chains if _fold(chain)}
        model = _with_depthwise(model, (kept | unfoldable) - gone, gone)
        pairs = zip(_outputs(model, tensors[:_COMPARED]), before, strict=True)
        if not all(np.abs(after - old).max() <= STAYS * max(1.0, np.abs(old).max()) for after, old in pairs):
            model = load_to_logits(model_path)
    model.save(out)


def _outputs(model: Any, tensors: Floats) -> list[Floats]:
    """Return every output: the logits, and a feature map whose moments the files return."""
    return [np.asarray(each) for each in _as_list(model(tensors, training=False))]


def _as_list(given: Any) -> list[Floats]:
    return given if isinstance(given, list) else [given]


def _chains(model: Any) -> Iterator[_Chain]:
    """Yield the chains in which every layer has exactly one consumer."""
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


def _unfoldable(model: Any) -> Iterator[str]:
    """Yield the names of the BatchNorms of maps before a separate ReLU that cannot be folded into a convolution."""
    from keras import layers

    for norm in filter(is_plain, model.operations):
        after, before = consumer(model, norm), maker(norm.input)
        rectified = isinstance(after, (layers.Activation, layers.ReLU)) and passes(after)
        weighted = isinstance(before, (layers.Conv2D, layers.DepthwiseConv2D, layers.SeparableConv2D))
        folds = weighted and before.activation.__name__ == "linear" and consumer(model, before) is norm
        if len(norm.output.shape) == 4 and rectified and not folds:
            yield norm.name


def _rescale(chain: _Chain, after: Floats) -> None:
    """Divide BatchNorm's channels by ``after``, reduce its factors to ±1, and compensate for both in the weights."""
    norm = chain.norm
    scale, shift = factors(norm)
    before = np.where(np.abs(scale) > TINY, after / np.maximum(np.abs(scale), TINY), 1.0)
    weights, bias = chain.before.get_weights()
    chain.before.set_weights([weights / before, bias / before])
    norm.set_weights([scale * before / after, shift / after, *identity(norm)])
    weights, *rest = chain.after.get_weights()
    inputs = weights.shape[-2]  # Flatten repeats the channels for each position
    chain.after.set_weights([weights * np.tile(after, inputs // len(after))[:, np.newaxis], *rest])


def _fold(chain: _Chain) -> bool:
    """Move BatchNorm's shift, after :func:`_rescale`, into the next convolution; return whether that was possible.

    It is not possible with padding, whose zeros lack the shift, or with a factor of -1, which does not commute with a
    maximum.
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
        gone: names of the BatchNorms to remove.
    """
    import keras

    def replace(layer: Any) -> Any:
        if layer.name in names:
            return keras.layers.DepthwiseConv2D(1, name=layer.name)
        return layer.__class__.from_config(layer.get_config())

    def call(layer: Any, *args: Any, **kwargs: Any) -> Any:
        if layer.name in gone:
            return args[0]
        return layer(*args) if layer.name in names else layer(*args, **kwargs)  # drop BatchNorm's arguments

    copy = keras.models.clone_model(model, clone_function=replace, call_function=call)
    for layer in copy.layers:
        original = model.get_layer(layer.name)
        layer.set_weights(_depthwise(original) if layer.name in names else original.get_weights())
    return copy


def _depthwise(norm: Any) -> list[Floats]:
    """Return weights (1×1×channels×1) and bias of the depthwise convolution equal to a BatchNorm."""
    scale, shift = factors(norm)
    return [scale.reshape(1, 1, -1, 1), shift]
