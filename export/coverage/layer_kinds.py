"""The layers that classifiers use, each in a small network."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from edge_runtime.bundle.spec import ParityTolerance
from export.coverage.small import network, sequence, signed
from export.coverage.subject import ENLARGED, Subject

NORMALISATION, AUGMENTATION, CONVOLUTION, ATTENTION, POOLING, OTHER = (
    *("normalisation layers", "augmentation layers", "convolutions", "attention and sequences"),
    *("pooling, padding and resizing", "other layers"),
)

Body = Callable[[Any, Any], Any]
"""A function of ``keras.layers`` and a tensor."""

_MIDDLE: dict[str, dict[str, Body]] = {
    NORMALISATION: {
        "BatchNormalization": lambda k, x: k.BatchNormalization()(x),
        "BatchNormalization without scale": lambda k, x: k.BatchNormalization(scale=False)(x),
        "LayerNormalization": lambda k, x: k.LayerNormalization()(x),
        "LayerNormalization over H, W, C": lambda k, x: k.LayerNormalization(axis=[1, 2, 3])(x),
        "RMSNormalization": lambda k, x: k.RMSNormalization()(x),
        "GroupNormalization": lambda k, x: k.GroupNormalization(8)(x),
        "GroupNormalization of one channel each": lambda k, x: k.GroupNormalization(-1)(x),
        "UnitNormalization": lambda k, x: k.UnitNormalization()(x),
        "SpectralNormalization": lambda k, x: k.SpectralNormalization(k.Conv2D(32, 3, name="inner"))(x),
    },
    CONVOLUTION: {
        "SeparableConv2D": lambda k, x: k.SeparableConv2D(32, 3, padding="same")(x),
        "DepthwiseConv2D": lambda k, x: k.DepthwiseConv2D(3, depth_multiplier=2)(x),
        "DepthwiseConv2D, dilated": lambda k, x: k.DepthwiseConv2D(3, dilation_rate=2)(x),
        "DepthwiseConv2D, strided": lambda k, x: k.DepthwiseConv2D(3, strides=2, padding="same")(x),
        "Conv2DTranspose": lambda k, x: k.Conv2DTranspose(32, 3, strides=2, padding="same")(x),
        "Conv2DTranspose, valid": lambda k, x: k.Conv2DTranspose(32, 4, strides=2, padding="valid")(x),
        "Conv2DTranspose, dilated": lambda k, x: k.Conv2DTranspose(32, 3, dilation_rate=2)(x),
        "Conv2D, 4 groups": lambda k, x: k.Conv2D(32, 3, groups=4)(x),
        "Conv2D, 32 groups": lambda k, x: k.Conv2D(32, 3, groups=32)(x),
        "Conv2D, dilated": lambda k, x: k.Conv2D(32, 3, dilation_rate=2, padding="same")(x),
        "Conv1D": lambda k, x: k.Conv1D(32, 3)(sequence(x)),
        "Conv1D, causal": lambda k, x: k.Conv1D(32, 3, padding="causal")(sequence(x)),
        "Conv1D, 4 groups": lambda k, x: k.Conv1D(32, 3, groups=4)(sequence(x)),
        "SeparableConv1D": lambda k, x: k.SeparableConv1D(32, 3)(sequence(x)),
        "DepthwiseConv1D": lambda k, x: k.DepthwiseConv1D(3)(sequence(x)),
        "Conv1DTranspose": lambda k, x: k.Conv1DTranspose(32, 3, strides=2)(sequence(x)),
        "Conv3D": lambda k, x: k.Reshape((16, 16, 64))(k.Conv3D(4, 3, padding="same")(k.Reshape((16, 16, 16, 2))(x))),
    },
    ATTENTION: {
        "MultiHeadAttention": lambda k, x: k.MultiHeadAttention(4, 8)(*[sequence(x)] * 2),
        "MultiHeadAttention, flash": lambda k, x: k.MultiHeadAttention(4, 8, flash_attention=False)(*[sequence(x)] * 2),
        "MultiHeadAttention on a map": lambda k, x: k.MultiHeadAttention(2, 8, attention_axes=(1, 2))(x, x),
        "Attention": lambda k, x: k.Attention()([sequence(x)] * 2),
        "Attention, concatenated score": lambda k, x: k.Attention(score_mode="concat")([sequence(x)] * 2),
        "AdditiveAttention": lambda k, x: k.AdditiveAttention()([sequence(x)] * 2),
        "GroupQueryAttention": lambda k, x: k.GroupQueryAttention(8, 4, 2)(*[sequence(x)] * 2),
        "EinsumDense": lambda k, x: k.EinsumDense("abc,cd->abd", (None, 24), bias_axes="d")(sequence(x)),
        "Embedding of positions": lambda k, x: _with_positions(k, sequence(x)),
        "LSTM": lambda k, x: k.LSTM(16)(sequence(x)),
        "LSTM, unrolled": lambda k, x: k.LSTM(16, unroll=True)(sequence(x)),
        "GRU": lambda k, x: k.GRU(16)(sequence(x)),
        "Bidirectional LSTM": lambda k, x: k.Bidirectional(k.LSTM(16))(sequence(x)),
        "ConvLSTM2D": lambda k, x: k.ConvLSTM2D(8, 3)(k.Reshape((4, 16, 16, 8))(x)),
        "TimeDistributed Dense": lambda k, x: k.TimeDistributed(k.Dense(24))(sequence(x)),
    },
    POOLING: {
        "MaxPooling2D": lambda k, x: k.MaxPooling2D()(x),
        "AveragePooling2D": lambda k, x: k.AveragePooling2D(3, 2, "same")(x),
        "GlobalMaxPooling2D": lambda k, x: k.GlobalMaxPooling2D()(x),
        "AdaptiveAveragePooling2D": lambda k, x: k.AdaptiveAveragePooling2D(5)(x),
        "AdaptiveMaxPooling2D": lambda k, x: k.AdaptiveMaxPooling2D(5)(x),
        "ZeroPadding2D": lambda k, x: k.ZeroPadding2D(((1, 2), (3, 0)))(x),
        "Cropping2D": lambda k, x: k.Cropping2D(((1, 2), (3, 0)))(x),
        "CenterCrop": lambda k, x: k.CenterCrop(10, 10)(x),
        "UpSampling2D, nearest": lambda k, x: k.UpSampling2D()(x),
        "UpSampling2D, bilinear": lambda k, x: k.UpSampling2D(interpolation="bilinear")(x),
        "Resizing, bilinear": lambda k, x: k.Resizing(12, 20)(x),
        "Resizing, nearest": lambda k, x: k.Resizing(12, 20, interpolation="nearest")(x),
        "Resizing, bicubic": lambda k, x: k.Resizing(12, 20, interpolation="bicubic")(x),
    },
    OTHER: {
        "PReLU": lambda k, x: k.PReLU()(signed(x)),
        "PReLU, shared axes": lambda k, x: k.PReLU(shared_axes=[1, 2])(signed(x)),
        "LeakyReLU": lambda k, x: k.LeakyReLU(0.2)(signed(x)),
        "ELU as a layer": lambda k, x: k.ELU()(signed(x)),
        "ReLU with a limit and a slope": lambda k, x: k.ReLU(max_value=4.0, negative_slope=0.1, threshold=0.2)(
            signed(x)
        ),
        "Softmax as a layer": lambda k, x: k.Softmax()(signed(x)),
        "Dropout": lambda k, x: k.SpatialDropout2D(0.2)(k.Dropout(0.2)(x)),
        "GaussianNoise and GaussianDropout": lambda k, x: k.GaussianNoise(0.1)(k.GaussianDropout(0.1)(x)),
        "AlphaDropout": lambda k, x: k.AlphaDropout(0.1)(x),
        "ActivityRegularization": lambda k, x: k.ActivityRegularization(l2=0.01)(x),
        "Identity": lambda k, x: k.Identity()(x),
        "Dense on a map": lambda k, x: k.Dense(24)(x),
        "Flatten": lambda k, x: k.Flatten()(k.MaxPooling2D(4)(x)),
        "Reshape and Permute": lambda k, x: k.Permute((2, 1, 3))(k.Reshape((8, 32, 32))(x)),
        "RepeatVector": lambda k, x: k.RepeatVector(3)(k.GlobalMaxPooling2D()(x)),
        "Add": lambda k, x: k.Add()([x, k.Conv2D(32, 1)(x)]),
        "Multiply (squeeze and excitation)": lambda k, x: k.Multiply()(
            [x, k.Reshape((1, 1, 32))(k.Dense(32, "sigmoid")(k.GlobalAveragePooling2D()(x)))]
        ),
        "Subtract, Average, Maximum, Minimum": lambda k, x: k.Minimum()(
            [k.Maximum()([k.Average()([x, k.Subtract()([x, k.Conv2D(32, 1)(x)])]), x]), k.Conv2D(32, 1)(x)]
        ),
        "Concatenate": lambda k, x: k.Concatenate()([x, k.Conv2D(8, 1)(x)]),
        "Dot": lambda k, x: k.Dot(axes=2)([sequence(x)] * 2),
        "Masking": lambda k, x: k.Masking()(sequence(x)),
        "erfinv, which the converters lack": lambda k, x: _erfinv(x),
        "Discretization": lambda k, x: _as_float(k.Discretization([0.1, 0.5, 1.0])(x)),
    },
}

_FIRST: dict[str, dict[str, Body]] = {
    AUGMENTATION: {
        "RandomFlip": lambda k, x: k.RandomFlip()(x),
        "RandomRotation": lambda k, x: k.RandomRotation(0.1)(x),
        "RandomZoom": lambda k, x: k.RandomZoom(0.1)(x),
        "RandomTranslation": lambda k, x: k.RandomTranslation(0.1, 0.1)(x),
        "RandomShear": lambda k, x: k.RandomShear(0.1, 0.1)(x),
        "RandomPerspective": lambda k, x: k.RandomPerspective()(x),
        "RandomElasticTransform": lambda k, x: k.RandomElasticTransform()(x),
        "RandomCrop": lambda k, x: k.RandomCrop(28, 28)(x),
        "RandomContrast": lambda k, x: k.RandomContrast(0.1)(x),
        "RandomBrightness": lambda k, x: k.RandomBrightness(0.1, value_range=(0, 1))(x),
        "RandomHue": lambda k, x: k.RandomHue(0.1, value_range=(0, 1))(x),
        "RandomSaturation": lambda k, x: k.RandomSaturation(0.1, value_range=(0, 1))(x),
        "RandomColorJitter": lambda k, x: k.RandomColorJitter((0, 1), 0.1, 0.1, 0.1, 0.1)(x),
        "RandomColorDegeneration": lambda k, x: k.RandomColorDegeneration(0.5, value_range=(0, 1))(x),
        "RandomGrayscale": lambda k, x: k.RandomGrayscale()(x),
        "RandomGaussianBlur": lambda k, x: k.RandomGaussianBlur(value_range=(0, 1))(x),
        "RandomInvert": lambda k, x: k.RandomInvert(value_range=(0, 1))(x),
        "RandomPosterization": lambda k, x: k.RandomPosterization(4, value_range=(0, 1))(x),
        "RandomSharpness": lambda k, x: k.RandomSharpness(0.5, value_range=(0, 1))(x),
        "RandomErasing": lambda k, x: k.RandomErasing(value_range=(0, 1))(x),
        "RandAugment": lambda k, x: k.RandAugment(value_range=(0, 1))(x),
        "AugMix": lambda k, x: k.AugMix(value_range=(0, 1))(x),
        "CutMix": lambda k, x: k.CutMix()(x),
        "MixUp": lambda k, x: k.MixUp()(x),
        "Pipeline of RandomFlip and RandomZoom": lambda k, x: k.Pipeline([k.RandomFlip(), k.RandomZoom(0.1)])(x),
        "AutoContrast": lambda k, x: k.AutoContrast(value_range=(0, 1))(x),
        "Equalization": lambda k, x: k.Equalization(value_range=(0, 1))(x),
        "Solarization": lambda k, x: k.Solarization(value_range=(0, 1))(x),
        "ContrastLimitedAdaptiveHistogramEqualization": (
            lambda k, x: k.ContrastLimitedAdaptiveHistogramEqualization(value_range=(0, 1))(x)
        ),
    },
}


def subjects() -> Iterator[Subject]:
    """Yield a subject for each layer."""
    for place, groups in _PLACES.items():
        for group, bodies in groups.items():
            for name in bodies:
                tolerance = ENLARGED if name in _ENLARGING else ParityTolerance().float32_logit_max
                build = partial(_build, place, group, name)
                yield Subject(name, group, build, float32_logit_max=tolerance)


_ENLARGING = ("GroupNormalization of one channel each",)
"""Layers that divide by the spread of single, nearly constant channels.

Keras' own float32 logits differ from its float64 logits by 9.1e-5 then, relative to max(1, |logit|)."""

_PLACES = {"middle": _MIDDLE, "first": _FIRST}


def _build(place: str, group: str, name: str) -> Any:
    from keras import layers

    body = _PLACES[place][group][name]

    def layer(x: Any) -> Any:
        return body(layers, x)

    return network(first=layer) if place == "first" else network(layer)


def _erfinv(x: Any) -> Any:
    import keras

    return keras.ops.erfinv(x * 0.01)


def _with_positions(k: Any, x: Any) -> Any:
    """Add an embedding of the positions 0..15 to a sequence N×16×32, as a tensor of the graph."""
    import keras

    return k.Add()([x, k.Embedding(16, 32)(keras.ops.cast(keras.ops.zeros_like(x[..., 0]), "int32"))])


def _as_float(x: Any) -> Any:
    import keras

    return keras.ops.cast(x, "float32")
