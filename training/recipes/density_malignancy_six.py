"""System 2: six architectures on density × malignancy in 8 classes, as their program is coded.

RGB, bilinear in float32 (half-pixel centres) to 224×224, 227×227 for AlexNet, ÷255; Adam 0.001 and
cross-entropy for 50 epochs; augmentation by rotation, flip and zoom.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from edge_runtime.bundle.policy import DecisionPolicy, Head
from edge_runtime.bundle.spec import ModelSpec, ParityTolerance
from edge_runtime.images.colour import ColourOrder
from edge_runtime.preprocessing.steps import Colour, Interpolation, PixelType, Resize, Scale
from training.data.augmentation import Augmentation
from training.data.datasets import mendeley
from training.data.splits import SplitPlan
from training.recipes.density_malignancy_cnn import LEAK, MALIGNANT, MENDELEY
from training.recipes.recipe import Adam, Claim, Copies, Loss, Recipe, TrainingPlan

if TYPE_CHECKING:
    import keras


def _end(inputs: keras.KerasTensor, features: keras.KerasTensor, name: str) -> keras.Model:
    """Complete a network with Dense 8 and softmax."""
    import keras
    from keras import layers

    logits = layers.Dense(8, name="logits")(features)
    return keras.Model(inputs, layers.Softmax(name="scores")(logits), name=name)


def simple(weights: str | None = None) -> keras.Model:
    """Build two convolutions, Dense 64 and softmax; input 224×224×3."""
    import keras
    from keras import layers

    inputs = keras.Input((224, 224, 3), name="image")
    x = layers.Conv2D(16, 3, activation="relu", kernel_initializer="he_uniform")(inputs)
    x = layers.MaxPooling2D(2)(x)
    x = layers.Conv2D(32, 3, activation="relu", kernel_initializer="he_uniform")(x)
    x = layers.MaxPooling2D(2)(x)
    x = layers.Dense(64, activation="relu")(layers.Flatten()(x))
    return _end(inputs, x, "simple")


def alexnet(weights: str | None = None) -> keras.Model:
    """Build AlexNet with an extra Dense 1000; input 227×227×3."""
    import keras
    from keras import layers

    inputs = keras.Input((227, 227, 3), name="image")
    x = layers.Conv2D(96, 11, strides=4, activation="relu")(inputs)
    x = layers.MaxPooling2D(3, strides=2)(x)
    x = layers.Conv2D(256, 5, padding="same", activation="relu")(x)
    x = layers.MaxPooling2D(3, strides=2)(x)
    for filters in (384, 384, 256):
        x = layers.Conv2D(filters, 3, padding="same", activation="relu")(x)
    x = layers.Flatten()(layers.MaxPooling2D(3, strides=2)(x))
    for units in (4096, 4096, 1000):
        x = layers.Dense(units, activation="relu")(x)
    return _end(inputs, x, "alexnet")


def vgg16(weights: str | None = None) -> keras.Model:
    """Build VGG16 without top, Flatten, Dense 8; input 224×224×3."""
    import keras

    base = keras.applications.VGG16(include_top=False, weights=weights, input_shape=(224, 224, 3))
    return _end(base.input, keras.layers.Flatten()(base.output), "vgg16")


def densenet121(weights: str | None = None) -> keras.Model:
    """Build DenseNet121 without top, Flatten, Dense 8; input 224×224×3."""
    import keras

    base = keras.applications.DenseNet121(include_top=False, weights=weights, input_shape=(224, 224, 3))
    return _end(base.input, keras.layers.Flatten()(base.output), "densenet121")


def efficientnetv2b0(weights: str | None = None) -> keras.Model:
    """Build EfficientNetV2B0 with 8 outputs; input 224×224×3, rescaled inside the network, as in its program."""
    import keras
    from keras import layers

    base = keras.applications.EfficientNetV2B0(include_top=False, weights=weights, input_shape=(224, 224, 3))
    x = layers.GlobalAveragePooling2D()(base.output)
    return _end(base.input, layers.Dropout(0.2)(x), "efficientnetv2b0")


def shufflenet(weights: str | None = None) -> keras.Model:
    """Build the ShuffleNet of the program: three stages of 240, 480, 960 channels, shuffled in 3 groups."""
    import keras
    from keras import layers

    inputs = keras.Input((224, 224, 3), name="image")
    x = layers.Conv2D(24, 3, strides=2, padding="same", use_bias=False)(inputs)
    x = layers.ReLU()(layers.BatchNormalization()(x))
    x = layers.MaxPooling2D(3, strides=2, padding="same")(x)
    for channels, units in ((240, 4), (480, 8), (960, 4)):
        for unit in range(units):
            x = _shuffle_unit(x, channels, strides=2 if unit == 0 else 1)
    return _end(inputs, layers.GlobalAveragePooling2D()(x), "shufflenet")


def _shuffle_unit(x: keras.KerasTensor, channels: int, *, strides: int) -> keras.KerasTensor:
    """Concatenate shortcut and 1×1 → depthwise 3×3 → 1×1, then shuffle in 3 groups; the output has ``channels``."""
    from keras import layers

    shortcut = layers.AveragePooling2D(3, strides=2, padding="same")(x) if strides == 2 else x
    added = channels - x.shape[-1] if strides == 2 else channels // 2
    if strides == 1:
        shortcut, x = x[..., : channels // 2], x[..., channels // 2 :]
    y = layers.ReLU()(layers.BatchNormalization()(layers.Conv2D(channels // 4, 1, use_bias=False)(x)))
    y = layers.BatchNormalization()(layers.DepthwiseConv2D(3, strides=strides, padding="same", use_bias=False)(y))
    y = layers.ReLU()(layers.BatchNormalization()(layers.Conv2D(added, 1, use_bias=False)(y)))
    return _shuffle(layers.Concatenate()([shortcut, y]), groups=3)


def _shuffle(x: keras.KerasTensor, *, groups: int) -> keras.KerasTensor:
    """Interleave the channels of ``groups`` groups."""
    from keras import layers

    height, width, channels = x.shape[1:]
    x = layers.Reshape((height, width, groups, channels // groups))(x)
    return layers.Reshape((height, width, channels))(layers.Permute((1, 2, 4, 3))(x))


def _recipe(
    name: str,
    network: Callable[[str | None], keras.Model],
    *,
    side_px: int = 224,
    transfer: bool = False,
    claim: float,
    float32_logit_max: float = ParityTolerance.float32_logit_max,
) -> Recipe:
    return Recipe(
        spec=ModelSpec(
            name=f"density-malignancy-{name}",
            version="1.0.0",
            summary="Mammogram patch with a mass: breast density 1–4 and benign or malignant (8 classes).",
            steps=(
                Colour(ColourOrder.RGB),
                Resize(side_px, side_px, Interpolation.LINEAR, PixelType.FLOAT32),
                Scale(divisor=255.0, offset=0.0),
            ),
            labels=mendeley.LABELS,
            positive=MALIGNANT,
            head=Head.SOFTMAX,
            policy=DecisionPolicy(cutoff=0.5, confidence_floor=0.0),
            tolerance=ParityTolerance(float32_logit_max=float32_logit_max),
        ),
        source=MENDELEY,
        network=network,
        plan=TrainingPlan(epochs=50, batch=32, optimiser=Adam(0.001), loss=Loss.CATEGORICAL, seed=2),
        split=SplitPlan(validation=0.2, test=0.25, seed=1),
        transfer=transfer,
        augmentation=Augmentation(flips=True, quarter_turns=False, rotation_deg=15.0, zoom=0.1),
        claims=(Claim("label accuracy", claim),),
        copies=Copies(
            turns=6,
            mirrored=True,
            note="The published set holds 72 files of each of 106 sources; here 24 (plain and CLAHE, 12 each) of 84.",
        ),
        caveat=LEAK + " 830 of the 1526 published validation images are pixel copies of training images.",
    )


SIX = (
    _recipe("simple", simple, claim=0.933),
    _recipe("alexnet", alexnet, side_px=227, claim=0.303),
    _recipe("vgg16", vgg16, transfer=True, claim=0.303),
    _recipe("densenet121", densenet121, transfer=True, claim=0.737),
    # The logits of the fitted network reach 395, where float32 differs from float64 by 1.7e-4. Model files cannot be
    # more precise than that.
    _recipe(
        "efficientnetv2b0",
        efficientnetv2b0,
        transfer=True,
        claim=0.303,
        float32_logit_max=1e-3,
    ),
    _recipe("shufflenet", shufflenet, claim=0.958),
)
