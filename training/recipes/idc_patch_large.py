"""Invasive ductal carcinoma in H&E patches of 50×50 px, enlarged to 100×100: the larger of this project's networks.

ImageNet's MobileNet cut after its eighth block, two depths pooled, one sigmoid. Enlarging costs no detail, but gives
the pretrained filters, which expect larger structures, more room. With three blocks more, the models in the wheel would
have more than 20 MB together. An epoch is 3,000 patches, drawn anew, so that a fit takes minutes on one core.

All patients but those of the validation part are fitted on. The figures of this recipe are those of cross-validation:
``python -m training crossvalidate idc-patch-large``.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from edge_runtime.bundle.policy import DecisionPolicy, Head
from edge_runtime.bundle.spec import ModelSpec
from edge_runtime.images.colour import ColourOrder
from edge_runtime.preprocessing.steps import Colour, Interpolation, PixelType, Resize, Scale, Step
from training.data.alterations import Alteration
from training.data.augmentation import Augmentation
from training.data.datasets import idc
from training.data.photometric import StainJitter
from training.data.sampling import PatientSampling
from training.data.splits import SplitPlan
from training.networks.backbones import ORIGIN, MobileNet
from training.recipes.idc_patch import SOURCE
from training.recipes.recipe import AdamW, Cosine, FamiliarLayer, ImageLimit, Loss, Recipe, TrainingPlan

if TYPE_CHECKING:
    import keras

MICRONS_PER_PIXEL = 4.0
"""Scale of the published patches: slides of 40× (about 0.25 µm per pixel), reduced 16 times (Cruz-Roa et al. 2014)."""

SPLIT = SplitPlan(validation=0.15, test=0.0, seed=20161)
"""The split of both tissue networks. No patient is left for a test: figures are those of cross-validation."""

AUGMENTATION = Augmentation(
    flips=True,
    quarter_turns=True,
    photometric=(StainJitter(0.25),),
    kept=0.25,
    black=-1.0,
    white=1.0,
    scale=(0.8, 1.25),
    reflected=True,
)


FAMILIAR = FamiliarLayer(
    "conv_pw_4_relu",
    scaled=False,
    alterations=tuple(Alteration),
    limits=(ImageLimit.MOST_SIDE,),
)
"""Of the blocks, the fourth notices another scale best. Chosen on validation patients of idc-patch-compact
(docs/research/familiarity.md)."""


@dataclass(frozen=True)
class TissueNetwork:
    """A MobileNet on RGB patches with one sigmoid output, as a callable of a recipe.

    Attributes:
        side_px: height and width of the input.
        taps: numbers of the blocks whose pooled features reach the head, in rising order.
        dropout: share (0..1) of the pooled features that a step drops.
    """

    side_px: int
    taps: tuple[int, ...]
    dropout: float = 0.5

    def __call__(self, weights: str | None = None) -> keras.Model:
        """Build the network: input side_px×side_px×3 in -1..1, one sigmoid output."""
        backbone = MobileNet(side_px=self.side_px, channels=3, taps=self.taps)
        return backbone.build(weights, outputs=1, dropout=self.dropout, activation="sigmoid")


def steps_of(side_px: int) -> tuple[Step, ...]:
    """Return the preprocessing for an input of ``side_px``."""
    return (
        Colour(ColourOrder.RGB),
        Resize(side_px, side_px, Interpolation.LINEAR_EXACT, PixelType.UINT8),
        Scale(divisor=127.5, offset=-1.0),
    )


def with_side(recipe: Recipe, side_px: int) -> Recipe:
    """Return a recipe of :class:`TissueNetwork` with another input size."""
    if not isinstance(recipe.network, TissueNetwork):
        raise TypeError(f"{recipe.spec.name}: expected a recipe of a TissueNetwork.")
    return replace(
        recipe,
        spec=replace(recipe.spec, steps=steps_of(side_px)),
        network=replace(recipe.network, side_px=side_px),
    )


IDC_PATCH_LARGE = Recipe(
    spec=ModelSpec(
        name="idc-patch-large",
        version="1.1.0",
        summary="H&E breast tissue patch, 50×50 px as published: is invasive ductal carcinoma in it?",
        steps=steps_of(100),
        labels=idc.LABELS,
        positive=("malignant",),
        head=Head.SIGMOID,
        policy=DecisionPolicy(cutoff=0.5, confidence_floor=0.0, neighbours=0.5),
        microns_per_pixel=MICRONS_PER_PIXEL,
        tile_px=idc.PATCH_PX,
    ),
    source=SOURCE,
    network=TissueNetwork(side_px=100, taps=(5, 8)),
    plan=TrainingPlan(
        epochs=10,
        batch=64,
        optimiser=AdamW(1e-3, weight_decay=0.05, average=0.99),
        loss=Loss.BINARY,
        seed=6,
        cosine=Cosine(),
        weigh_labels=True,
        int8_grid=True,
        sampling=PatientSampling(power=0.5, images=3000),
    ),
    split=SPLIT,
    transfer=True,
    augmentation=AUGMENTATION,
    caveat=ORIGIN,
    cases=True,
    familiar=FAMILIAR,
)
