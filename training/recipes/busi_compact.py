"""Benign, malignant or normal in breast ultrasound: a MobileNet fitted from its sixth block on, and a small stack.

Both take the whole image in grey, resized to a square. The first blocks of the MobileNet keep ImageNet's weights; the
stack starts from random weights. Published images contain callipers, which mark measured lesions. So callipers are
drawn onto training images of every label, and the networks cannot learn from them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from edge_runtime.bundle.policy import DecisionPolicy, Head
from edge_runtime.bundle.spec import ModelSpec
from edge_runtime.images.colour import ColourOrder
from edge_runtime.preprocessing.steps import Colour, Scale
from training.data.augmentation import Augmentation
from training.data.datasets import busi
from training.data.photometric import Callipers, GainAndSpeckle
from training.data.splits import SplitPlan
from training.networks.backbones import ORIGIN, MobileNet, Plain
from training.recipes.busi_densenet121 import SOURCE
from training.recipes.recipe import AdamW, Cosine, Loss, Recipe, TrainingPlan
from training.recipes.shrinking import halved

if TYPE_CHECKING:
    import keras

BACKBONE = MobileNet(side_px=160, channels=1, taps=(5, 11), fixed=5)
OVERLAYS = (
    "Callipers, dotted lines and captions are burnt into a third of the pictures and were left there, into hardly any "
    "normal one; callipers were drawn onto training pictures of every label alike. The subgroups below tell what the "
    "figures are with and without them."
)
OTHER_SITES = (
    "The shipped files do not hold at other sites. On 699 images from Brazil (BUS-BRA) the malignant AUROC of the "
    "int8 file is 0.600 [0.545, 0.658]. At the cut-off, its sensitivity there is 0.230 [0.171, 0.291] and its "
    "specificity 0.941 [0.916, 0.962]. On one of the two scanners (GE Logiq 5) the sensitivity is 0.039 [0.009, "
    "0.082]. On 85 images from Poland (BrEaST) the AUROC is 0.702 [0.576, 0.816], the sensitivity 0.455 [0.286, "
    "0.633] and the specificity 0.827 [0.717, 0.922]. Of the Brazilian lesions, 0.491 [0.451, 0.532] get the "
    "label normal. Most of these images are not referred as out-of-distribution: 14 % in Brazil and 32 % in "
    "Poland are. All figures, and how they were measured: docs/research/other-sites.md."
)
"""Text of the card on other sites, measured on the shipped files; a new fit has to be measured again."""

STACK = Plain(side_px=96, channels=1, filters=(24, 32, 48, 64, 96, 96), pooled=(1, 2, 3))


def compact(weights: str | None = None) -> keras.Model:
    """Build the MobileNet cut after its eleventh block: input 160×160×1 in -1..1, softmax of three."""
    return BACKBONE.build(weights, outputs=len(busi.LABELS), dropout=0.3, activation="softmax")


def nano(weights: str | None = None) -> keras.Model:
    """Build six 3×3 convolutions, each with BatchNorm and ReLU: input 96×96×1 in -1..1, softmax of three."""
    return STACK.build(outputs=len(busi.LABELS), dropout=0.3, activation="softmax")


def _recipe(
    name: str,
    network: Callable[[str | None], keras.Model],
    side_px: int,
    *,
    epochs: int,
    rate: float,
    seed: int,
    origin: str = "",
    other_sites: str = "",
) -> Recipe:
    return Recipe(
        spec=ModelSpec(
            name=name,
            version="1.0.0",
            summary="Breast ultrasound picture: benign, malignant or normal.",
            steps=(
                Colour(ColourOrder.GREY),
                *halved(side_px),
                Scale(divisor=127.5, offset=-1.0),
            ),
            labels=busi.LABELS,
            positive=("malignant",),
            head=Head.SOFTMAX,
            policy=DecisionPolicy(cutoff=0.5, confidence_floor=0.0),
            min_side_px=min(96, side_px * 2 // 3),  # the smallest published image has 190
        ),
        source=SOURCE,
        network=network,
        plan=TrainingPlan(
            epochs=epochs,
            batch=32,
            optimiser=AdamW(rate, weight_decay=0.05, average=0.98),
            loss=Loss.CATEGORICAL,
            seed=seed,
            cosine=Cosine(),
            weigh_labels=True,
            int8_grid=True,
        ),
        split=SplitPlan(validation=0.2, test=0.2, seed=5),
        transfer=bool(origin),
        augmentation=Augmentation(
            flips=True,
            quarter_turns=False,
            rotation_deg=15.0,
            zoom=0.15,
            shift=0.08,
            photometric=(GainAndSpeckle(gain=0.2, gamma=0.4, speckle=0.1), Callipers(0.4)),
            kept=0.25,
            black=-1.0,
        ),
        caveat=f"{origin} {OVERLAYS} {other_sites}".strip(),
    )


BUSI_COMPACT = _recipe(
    "busi-compact",
    compact,
    BACKBONE.side_px,
    epochs=25,
    rate=1e-3,
    seed=7,
    origin=ORIGIN,
    other_sites=OTHER_SITES,
)
BUSI_NANO = _recipe("busi-nano", nano, STACK.side_px, epochs=60, rate=2e-3, seed=8)
