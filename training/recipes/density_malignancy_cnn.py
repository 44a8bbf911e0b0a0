"""System 1: density × malignancy of mammogram patches in 8 classes, as its program is coded.

RGB, nearest neighbour to 224×224, sharpening in float32 without clipping, min-max over the whole image,
÷255. Three convolutions, each followed by BatchNorm and pooling; two linear dense layers; softmax.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge_runtime.bundle.policy import DecisionPolicy, Head
from edge_runtime.bundle.spec import ModelSpec
from edge_runtime.images.colour import ColourOrder
from edge_runtime.preprocessing.steps import (
    LAPLACIAN_SHARPEN_3X3,
    Border,
    Colour,
    Interpolation,
    MinMax,
    PixelType,
    Resize,
    Scale,
    Sharpen,
)
from training.data.audit.groups import uniting
from training.data.datasets import mendeley
from training.data.splits import SplitPlan
from training.recipes.recipe import Claim, DataSource, Loss, Plateau, Recipe, Sgd, TrainingPlan

if TYPE_CHECKING:
    import keras

MENDELEY = DataSource(
    title="Dataset of breast mammography images with masses (Mendeley x7bvzv6cvr), the INbreast part",
    citation="Huang & Lin 2020, doi 10.17632/x7bvzv6cvr.1, from INbreast (Moreira et al. 2012, Acad Radiol 19:236)",
    licence="CC BY 4.0",
    research_only=False,
    load=uniting(mendeley.load),  # compares 168 images in 15 s on one core; no copies between patients
)

MALIGNANT = tuple(label for label in mendeley.LABELS if label.endswith("Malignant"))

LEAK = (
    "The published split is random over images that are augmentations of only 106 sources of 51 women: copies of "
    "one picture stand on both sides. Split by woman, 8 classes cannot be learned from so few."
)


def network(weights: str | None = None) -> keras.Model:
    """Build the published network, input 224×224×3; all weights start at N(0, 0.05)."""
    import keras  # imported here, so that listing recipes does not load a framework
    from keras import layers

    def start() -> keras.initializers.Initializer:
        return keras.initializers.RandomNormal(stddev=0.05)

    inputs = keras.Input((224, 224, 3), name="image")
    x = inputs
    for filters in (64, 64, 32):
        x = layers.Conv2D(filters, 3, activation="relu", kernel_initializer=start())(x)
        x = layers.BatchNormalization()(x)
        x = layers.MaxPooling2D(2)(x)
    x = layers.Flatten()(x)
    for units in (80, 64):
        x = layers.Dense(units, kernel_initializer=start())(x)
        x = layers.Dropout(0.2)(x)
    logits = layers.Dense(8, name="logits", kernel_initializer=start())(x)
    return keras.Model(inputs, layers.Softmax(name="scores")(logits), name="density_malignancy_cnn")


DENSITY_MALIGNANCY_CNN = Recipe(
    spec=ModelSpec(
        name="density-malignancy-cnn",
        version="1.0.0",
        summary="Mammogram patch with a mass: breast density 1–4 and benign or malignant (8 classes).",
        steps=(
            Colour(ColourOrder.RGB),
            Resize(224, 224, Interpolation.NEAREST, PixelType.UINT8),
            Sharpen(LAPLACIAN_SHARPEN_3X3, PixelType.FLOAT32, Border.REFLECT_101),
            MinMax(0.0, 255.0),
            Scale(divisor=255.0, offset=0.0),
        ),
        labels=mendeley.LABELS,
        positive=MALIGNANT,
        head=Head.SOFTMAX,
        policy=DecisionPolicy(cutoff=0.5, confidence_floor=0.0),
    ),
    source=MENDELEY,
    network=network,
    plan=TrainingPlan(
        epochs=45,
        batch=32,
        optimiser=Sgd(learning_rate=0.003, clip_value=0.5),
        loss=Loss.CATEGORICAL,
        seed=1,
        plateau=Plateau(factor=0.3, patience=3),
    ),
    split=SplitPlan(validation=0.2, test=0.25, seed=1),
    claims=(
        Claim("benign: accuracy", 0.823),
        Claim("benign: precision", 0.828),
        Claim("benign: recall", 0.585),
        Claim("malignant: accuracy", 0.769),
        Claim("malignant: precision", 0.820),
        Claim("malignant: recall", 0.838),
    ),
    caveat=LEAK,
)
