"""Backbones of the compact models: a plain stack of convolutions, or a truncated ImageNet MobileNet.

MobileNet (Howard et al. 2017, arXiv:1704.04861) uses convolution → BatchNorm → ReLU6 throughout. In this order, int8
folds BatchNorm without loss. Its first layers detect edges and textures, which medical images also contain.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import keras

ALPHA = 0.75
"""Width of the MobileNet used here: 24 channels after the first convolution, 768 after the last."""

MOMENTUM = 0.9
"""Momentum of BatchNorm's moving averages. The averages of ImageNet are replaced within 100 steps."""

LEAST_VARIANCE = 0.04
"""Lower limit of the variance when pooled features are normalised.

Without it, the head would amplify features that int8 rounds to 0.
"""

ORIGIN = "It starts from the ImageNet weights of Keras' MobileNet of width .75 (Google, Apache-2.0)."
"""Sentence for the model cards of models fitted from these weights."""


@dataclass(frozen=True)
class MobileNet:
    """A MobileNet of width :data:`ALPHA`, cut after its last tap.

    Attributes:
        side_px: height and width of the input.
        channels: 1 for grey, 3 for RGB; values -1..1. The filters of a grey input are the sums of the filters for R, G
            and B, so the network gives the same result on grey images.
        taps: numbers of the blocks (1..13) whose pooled features reach the head, in rising order.
        fixed: number of first blocks that keep ImageNet's weights (rounded to the int8 grid) and averages. This
            prevents overfitting on small data sets. If all blocks are fixed, only the head is fitted, on features that
            BatchNorm normalises.
    """

    side_px: int
    channels: int
    taps: tuple[int, ...]
    fixed: int = 0

    def build(self, weights: str | None, *, outputs: int, dropout: float, activation: str) -> keras.Model:
        """Return taps → global average → Dropout → Dense ``logits`` → ``scores``.

        Args:
            weights: a path to Keras' MobileNet weights without top, ``imagenet`` (Keras downloads them), or None.
            activation: of the scores, ``sigmoid`` or ``softmax``.
        """
        from keras import layers  # imported here, so that listing recipes does not load a framework

        backbone = self._backbone(weights)
        features = [layers.GlobalAveragePooling2D()(backbone.get_layer(_tap(tap)).output) for tap in self.taps]
        x = layers.Concatenate()(features) if len(features) > 1 else features[0]
        if self.fixed == self.taps[-1]:
            x = layers.BatchNormalization(momentum=MOMENTUM, epsilon=LEAST_VARIANCE, center=False, scale=False)(x)
        return _ended(backbone.input, x, "mobilenet", outputs, dropout, activation)

    def features(self, weights: str | None) -> tuple[keras.KerasTensor, keras.KerasTensor]:
        """Return the input and the feature map of the last tap, B×(side/16)×(side/16)×C for a tap of 6 to 11.

        Args:
            weights: as in :meth:`build`.
        """
        backbone = self._backbone(weights)
        return backbone.input, backbone.get_layer(_tap(self.taps[-1])).output

    def _backbone(self, weights: str | None) -> keras.Model:
        import keras

        network = keras.applications.MobileNet
        shape = (self.side_px, self.side_px, self.channels)
        backbone = network(input_shape=shape, alpha=ALPHA, include_top=False, weights=None)
        if weights is not None:
            colour = network(input_shape=(224, 224, 3), alpha=ALPHA, include_top=False, weights=weights)
            first, *rest = colour.get_weights()
            backbone.set_weights([first if self.channels == 3 else first.sum(axis=2, keepdims=True), *rest])
        for layer in backbone.layers:
            if isinstance(layer, keras.layers.BatchNormalization):
                layer.momentum = MOMENTUM
        if self.fixed:
            _fix(backbone.layers[: backbone.layers.index(backbone.get_layer(_tap(self.fixed))) + 1])
        return backbone


def _fix(layers: Sequence[keras.layers.Layer]) -> None:
    """Round the filters and freeze the layers, so that later layers are fitted on the values of the device."""
    from training.networks.weight_quantisation import round_filters

    round_filters(layers)
    for layer in layers:
        layer.trainable = False


def _tap(block: int) -> str:
    """Return the name of the last layer of a block."""
    return f"conv_pw_{block}_relu"


@dataclass(frozen=True)
class Plain:
    """3×3 convolutions with BatchNorm and ReLU, then a global average. All layers suit int8.

    Attributes:
        side_px: height and width of the input.
        channels: 1 for grey, 3 for RGB; values -1..1.
        filters: number of filters of each convolution; the first has stride 2.
        pooled: numbers (from 0) of the convolutions that a 2×2 max pooling follows.
    """

    side_px: int
    channels: int
    filters: tuple[int, ...]
    pooled: tuple[int, ...]

    def build(self, *, outputs: int, dropout: float, activation: str) -> keras.Model:
        """Return convolutions → global average → Dropout → Dense ``logits`` → ``scores``."""
        import keras
        from keras import layers

        x = inputs = keras.Input((self.side_px, self.side_px, self.channels), name="image")
        for number, filters in enumerate(self.filters):
            stride = 2 if number == 0 else 1
            x = layers.Conv2D(filters, 3, stride, "same", use_bias=False, kernel_initializer="he_normal")(x)
            x = layers.ReLU()(layers.BatchNormalization(momentum=MOMENTUM)(x))
            x = layers.MaxPooling2D(2)(x) if number in self.pooled else x
        return _ended(inputs, layers.GlobalAveragePooling2D()(x), "plain", outputs, dropout, activation)


def _ended(
    inputs: keras.KerasTensor, x: keras.KerasTensor, name: str, outputs: int, dropout: float, activation: str
) -> keras.Model:
    import keras
    from keras import layers

    logits = layers.Dense(outputs, name="logits")(layers.Dropout(dropout)(x))
    return keras.Model(inputs, layers.Activation(activation, name="scores")(logits), name=name)
