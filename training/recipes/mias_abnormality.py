"""System 3: any abnormality in a whole mini-MIAS mammogram, as its program is coded.

Grey, 128×128, raw 0..255 without scaling. Dense 64 is applied to each position of the feature map. The program rotates
every image by 0, 2, …, 358° *before* it splits, so all images are on both sides of the split. There is one difference:
images are resized with LINEAR_EXACT. The program uses LINEAR, whose bits differ between processors.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge_runtime.bundle.policy import DecisionPolicy, Head
from edge_runtime.bundle.spec import ModelSpec
from edge_runtime.images.colour import ColourOrder
from edge_runtime.preprocessing.steps import Colour, Interpolation, PixelType, Resize
from training.data.audit.groups import uniting
from training.data.augmentation import Augmentation
from training.data.datasets import lesions, mias
from training.data.splits import SplitPlan
from training.recipes.recipe import Adam, Claim, Copies, DataSource, Loss, Recipe, TrainingPlan

if TYPE_CHECKING:
    import keras

SOURCE = DataSource(
    title="mini-MIAS mammograms",
    citation="Suckling et al. 1994, Excerpta Medica ICS 1069:375; Clark 2003, mini-MIAS",
    licence="research use only; images are not to be redistributed",
    research_only=True,
    load=uniting(mias.load),  # compares 258 images in 30 s on one core; there are no copies
    lesions=lesions.of_mias,
)


def network(weights: str | None = None) -> keras.Model:
    """Build the published network: 117,505 parameters, input 128×128×1; all weights start at N(0, 0.02)."""
    import keras  # imported here, so that listing recipes does not load a framework
    from keras import layers

    def start() -> keras.initializers.Initializer:
        return keras.initializers.RandomNormal(stddev=0.02)

    inputs = keras.Input((128, 128, 1), name="image")
    x = layers.Conv2D(32, 3, activation="relu", kernel_initializer=start())(inputs)
    for _ in range(2):
        x = layers.Conv2D(64, 3, activation="relu", kernel_initializer=start())(x)
        x = layers.MaxPooling2D(2)(x)
    x = layers.Dropout(0.25)(x)
    x = layers.Dense(64, activation="relu", kernel_initializer=start())(x)
    x = layers.Flatten()(layers.Dropout(0.25)(x))
    logits = layers.Dense(1, name="logits", kernel_initializer=start())(x)
    return keras.Model(inputs, layers.Activation("sigmoid", name="scores")(logits), name="mias_abnormality")


MIAS_ABNORMALITY = Recipe(
    spec=ModelSpec(
        name="mias-abnormality",
        version="1.0.0",
        summary="Whole mammogram (mini-MIAS): is there any abnormality?",
        steps=(Colour(ColourOrder.GREY), Resize(128, 128, Interpolation.LINEAR_EXACT, PixelType.UINT8)),
        labels=mias.LABELS,
        positive=("abnormal",),
        head=Head.SIGMOID,
        policy=DecisionPolicy(cutoff=0.5, confidence_floor=0.0),
        min_side_px=64,
    ),
    source=SOURCE,
    network=network,
    plan=TrainingPlan(
        epochs=100, batch=128, optimiser=Adam(0.001), loss=Loss.BINARY, seed=3, balance=True, stop_patience=3
    ),
    split=SplitPlan(validation=0.2, test=0.25, seed=3),
    augmentation=Augmentation(flips=False, quarter_turns=False, rotation_deg=180.0, zoom=0.0),
    claims=(Claim("accuracy", 0.9601),),
    copies=Copies(
        turns=12,
        step_deg=2.0,  # the same step as in the program, because near rotations cause the leak
        of=180,
        note="The program turns every picture by 0, 2, … 358° (180 files of each of 246); here by 0, 2, … 22°.",
    ),
    caveat=(
        "The published split is made after rotation: each of the 246 source images stands in train and in test. "
        "The authors' own weights reach 43 % specificity on the 84 normals that they dropped."
    ),
)
