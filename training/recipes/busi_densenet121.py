"""System 5: benign, malignant or normal in breast ultrasound (BUSI), as its program is coded.

RGB, nearest neighbour to 256×256, ÷255; frozen DenseNet121 and four dense layers. The program's training set contains
the lesion masks as if they were images; here masks are not samples.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge_runtime.bundle.policy import DecisionPolicy, Head
from edge_runtime.bundle.spec import ModelSpec
from edge_runtime.images.colour import ColourOrder
from edge_runtime.preprocessing.steps import Colour, Interpolation, PixelType, Resize, Scale
from training.data.datasets import busi, lesions
from training.data.splits import SplitPlan
from training.recipes.recipe import Adam, Claim, DataSource, Loss, Recipe, TrainingPlan

if TYPE_CHECKING:
    import keras

SOURCE = DataSource(
    title="BUSI, Dataset of Breast Ultrasound Images",
    citation="Al-Dhabyani et al. 2020, Data in Brief 28:104863, doi 10.1016/j.dib.2019.104863",
    licence="CC BY 4.0",
    research_only=False,
    load=busi.load,
    lesions=lesions.of_busi,
)


def network(weights: str | None = None) -> keras.Model:
    """Build the published network: 68,750,339 trainable and 7,037,504 frozen parameters, input 256×256×3."""
    import keras  # imported here, so that listing recipes does not load a framework
    from keras import layers

    base = keras.applications.DenseNet121(include_top=False, weights=weights, input_shape=(256, 256, 3))
    base.trainable = False
    x = layers.Flatten()(base.output)
    for units, dropout in ((1024, 0.5), (1024, 0.3), (512, 0.0), (128, 0.0)):
        x = layers.Dense(units, activation="relu")(x)
        if dropout:
            x = layers.Dropout(dropout)(x)
    logits = layers.Dense(3, name="logits")(x)
    return keras.Model(base.input, layers.Softmax(name="scores")(logits), name="busi_densenet121")


BUSI_DENSENET121 = Recipe(
    spec=ModelSpec(
        name="busi-densenet121",
        version="1.0.0",
        summary="Breast ultrasound picture: benign, malignant or normal.",
        steps=(
            Colour(ColourOrder.RGB),
            Resize(256, 256, Interpolation.NEAREST, PixelType.UINT8),
            Scale(divisor=255.0, offset=0.0),
        ),
        labels=busi.LABELS,
        positive=("malignant",),
        head=Head.SOFTMAX,
        policy=DecisionPolicy(cutoff=0.5, confidence_floor=0.0),
        min_side_px=64,
    ),
    source=SOURCE,
    network=network,
    plan=TrainingPlan(epochs=10, batch=16, optimiser=Adam(0.001), loss=Loss.CATEGORICAL, seed=5, keep_best=True),
    split=SplitPlan(validation=0.15, test=0.2, seed=5),
    transfer=True,
    claims=(Claim("label accuracy", 0.9494), Claim("macro F1", 0.94)),
    caveat=(
        "The published split knows no near-duplicates (131 clusters over 288 of the 780 images), the lesion masks are "
        "in its training set, and ten pairs show one image under two labels."
    ),
)
