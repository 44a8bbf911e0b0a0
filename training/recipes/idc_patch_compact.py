"""Invasive ductal carcinoma in H&E patches of 50×50 px: this project's own network, small enough for every device.

RGB as published, no sharpening; ImageNet's MobileNet cut after its sixth block, three depths pooled, one sigmoid.
On held-out patients it is better than a plain stack with more weights (docs/research/experiments.md).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge_runtime.bundle.policy import DecisionPolicy, Head
from edge_runtime.bundle.spec import ModelSpec
from edge_runtime.images.colour import ColourOrder
from edge_runtime.preprocessing.steps import Colour, Interpolation, PixelType, Resize, Scale
from training.data.augmentation import Augmentation
from training.data.datasets import idc
from training.data.photometric import StainJitter
from training.data.splits import SplitPlan
from training.networks.backbones import ORIGIN, MobileNet
from training.recipes.idc_patch import SOURCE
from training.recipes.recipe import AdamW, Cosine, Loss, Recipe, TrainingPlan

if TYPE_CHECKING:
    import keras

BACKBONE = MobileNet(side_px=50, channels=3, taps=(3, 5, 6))


def network(weights: str | None = None) -> keras.Model:
    """Build the network: 157,873 parameters, input 50×50×3 in -1..1, one sigmoid output."""
    return BACKBONE.build(weights, outputs=1, dropout=0.5, activation="sigmoid")


IDC_PATCH_COMPACT = Recipe(
    spec=ModelSpec(
        name="idc-patch-compact",
        version="1.0.0",
        summary="H&E breast tissue patch, 50×50 px as published: is invasive ductal carcinoma in it?",
        steps=(
            Colour(ColourOrder.RGB),
            Resize(50, 50, Interpolation.LINEAR_EXACT, PixelType.UINT8),
            Scale(divisor=127.5, offset=-1.0),
        ),
        labels=idc.LABELS,
        positive=("malignant",),
        head=Head.SIGMOID,
        policy=DecisionPolicy(cutoff=0.5, confidence_floor=0.0, neighbours=0.5),
    ),
    source=SOURCE,
    network=network,
    plan=TrainingPlan(
        epochs=14,
        batch=64,
        optimiser=AdamW(1e-3, weight_decay=0.05, average=0.995),
        loss=Loss.BINARY,
        seed=6,
        patient_cap=60,
        cosine=Cosine(),
        weigh_labels=True,
        int8_grid=True,
    ),
    split=SplitPlan(validation=0.15, test=0.25, seed=20161),
    transfer=True,
    augmentation=Augmentation(
        flips=True, quarter_turns=True, photometric=(StainJitter(0.25),), kept=0.25, black=-1.0, white=1.0
    ),
    caveat=ORIGIN,
    cases=True,
)
