"""Marked regions of a mammogram, suspicious or not: lesions of mini-MIAS, and normal tissue at the same positions.

On held-out patients, whole mini-MIAS mammograms cannot be classified (see the report of system 3), but regions can. The
input is 1.5 times the marked circle, in grey. The network pools two depths of a frozen ImageNet MobileNet, and only one
sigmoid is fitted. Eighty patients with lesions are too few to fit more weights.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from edge_runtime.bundle.dicom_input import GREY, DicomInput, SopClass, Voi
from edge_runtime.bundle.policy import DecisionPolicy, Head
from edge_runtime.bundle.spec import ModelSpec
from edge_runtime.images.colour import ColourOrder
from edge_runtime.images.region import RegionCrop
from edge_runtime.preprocessing.steps import Colour, Scale
from training.data.augmentation import Augmentation
from training.data.datasets import mias_regions
from training.data.splits import SplitPlan
from training.networks.backbones import ORIGIN, MobileNet
from training.recipes.mias_abnormality import SOURCE
from training.recipes.recipe import AdamW, Cosine, FamiliarLayer, ImageLimit, Loss, Recipe, TrainingPlan
from training.recipes.shrinking import halved

if TYPE_CHECKING:
    import keras

BACKBONE = MobileNet(side_px=128, channels=1, taps=(5, 9), fixed=9)
LEAST_RANGE = 6
"""Levels, of 255: a region whose values differ by less shows no tissue. The smallest range of the 93 lesions and 442
controls is 14. Dense, nearly saturated tissue elsewhere may have 6 to 8. Air is mostly constant."""

FAMILIAR = FamiliarLayer("conv_pw_6_relu", scaled=False, limits=(ImageLimit.LEAST_SIDE, ImageLimit.LEAST_DARK))
"""The sixth block sees what a square shows: air, corners, labels, other kinds of images. It does not see that a film is
a negative, or of half the size, so the film itself has limits (docs/research/familiarity.md)."""

SPACING_MM = 0.2
"""mini-MIAS was reduced to 200 µm a pixel."""

DICOM = DicomInput(
    objects=(SopClass("1.2.840.10008.5.1.4.1.1.1.2", "Digital Mammography X-Ray Image Storage - For Presentation"),),
    photometric=GREY,
    voi=(Voi.NONE, Voi.LINEAR, Voi.LINEAR_EXACT),
    spacing_mm=SPACING_MM,
)


def network(weights: str | None = None) -> keras.Model:
    """Build the network: input 128×128×1 in -1..1, one sigmoid output; only the head's 577 weights are fitted."""
    return BACKBONE.build(weights, outputs=1, dropout=0.3, activation="sigmoid")


MIAS_REGION = Recipe(
    spec=ModelSpec(
        name="mias-region",
        version="1.2.0",
        summary="A marked region of a mammogram (mini-MIAS, 200 µm a pixel): does it hold a lesion or normal tissue?",
        steps=(Colour(ColourOrder.GREY), *halved(BACKBONE.side_px), Scale(divisor=127.5, offset=-1.0)),
        labels=mias_regions.LABELS,
        positive=("lesion",),
        head=Head.SIGMOID,
        policy=DecisionPolicy(cutoff=0.5, confidence_floor=0.0),
        region=RegionCrop(margin=1.5, least_half_px=32.0, least_range=LEAST_RANGE),
        dicom=DICOM,
    ),
    source=replace(SOURCE, title="mini-MIAS mammograms, marked regions", load=mias_regions.load),
    network=network,
    plan=TrainingPlan(
        epochs=30,
        batch=32,
        optimiser=AdamW(5e-3, weight_decay=0.1, average=0.99),
        loss=Loss.BINARY,
        seed=9,
        cosine=Cosine(),
        weigh_labels=True,
    ),
    split=SplitPlan(validation=0.2, test=0.25, seed=3),
    transfer=True,
    augmentation=Augmentation(flips=True, quarter_turns=True),
    familiar=FAMILIAR,
    caveat=ORIGIN
    + " Controls were chosen, so confidences speak of one lesion in six regions, not of a clinic's mix. "
    + "No images of another site or scanner were available: nothing is known about other mammographs.",
)
