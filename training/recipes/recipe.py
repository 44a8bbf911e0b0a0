"""What a recipe is: everything that a person chose about one published system, frozen."""

from __future__ import annotations

import enum
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from edge_runtime.bundle.spec import ModelSpec
from training.data.augmentation import Augmentation
from training.data.datasets import Dataset
from training.data.datasets.lesions import Lesions
from training.data.splits import SplitPlan
from training.errors import RecipeError

if TYPE_CHECKING:
    import keras


@dataclass(frozen=True)
class DataSource:
    """A published data set: how to read it and what binds those who use it.

    Attributes:
        load: reads the published layout below a folder.
        research_only: models trained on it stay marked as such.
        lesions: where the lesion of a sample lies; None where the data set does not say.
    """

    title: str
    citation: str
    licence: str
    research_only: bool
    load: Callable[[Path], Dataset]
    lesions: Lesions | None = None


class Loss(enum.Enum):
    """What fitting minimises; the value is Keras' name."""

    BINARY = "binary_crossentropy"
    CATEGORICAL = "categorical_crossentropy"  # on one-hot labels, the same number as the sparse form


@dataclass(frozen=True)
class Adam:
    """Kingma & Ba 2015, with Keras' defaults but for the rate."""

    learning_rate: float


@dataclass(frozen=True)
class Sgd:
    """Plain stochastic gradient descent; each gradient value is clipped to ±``clip_value``."""

    learning_rate: float
    clip_value: float


@dataclass(frozen=True)
class AdamW:
    """Adam with decoupled weight decay (Loshchilov & Hutter 2019, ICLR).

    Attributes:
        weight_decay: share of each weight that one step at rate 1 takes away.
        average: momentum of the moving average of the weights (Polyak & Juditsky 1992) that replaces them when the fit
            ends; None keeps them as they are.
    """

    learning_rate: float
    weight_decay: float
    average: float | None = None


@dataclass(frozen=True)
class Cosine:
    """The rate rises in equal steps over ``warm_up`` epochs, then falls to nought along half a cosine.

    Loshchilov & Hutter 2017, SGDR (ICLR), without restarts.
    """

    warm_up: int = 1

    def rate(self, highest: float, epoch: int, epochs: int) -> float:
        """Return the rate of ``epoch``, counted from 0, of ``epochs``."""
        if epoch < self.warm_up:
            return highest * (epoch + 1) / (self.warm_up + 1)
        done = (epoch - self.warm_up) / max(1, epochs - self.warm_up)
        return highest * 0.5 * (1.0 + math.cos(math.pi * done))


@dataclass(frozen=True)
class Plateau:
    """Multiply the rate by ``factor`` when the validation loss has not improved for ``patience`` epochs."""

    factor: float
    patience: int
    min_rate: float = 0.0


@dataclass(frozen=True)
class TrainingPlan:
    """Optimiser, loss, schedule and callbacks.

    Attributes:
        patient_cap: most images of one patient that are fitted on, drawn at random, so that no single
            slide outweighs the other patients; figures are measured on all images.
        balance: drop images of the larger classes at random until all are as frequent as the smallest.
        weigh_labels: keep them all, but let every label weigh as much in the loss.
        stop_patience: epochs without a better validation loss before fitting ends; None fits all epochs.
        int8_grid: end with filters rounded as an int8 file rounds them (:mod:`training.networks.weight_quantisation`).
        keep_best: end with the weights of the best validation loss instead of the last.
    """

    epochs: int
    batch: int
    optimiser: Adam | AdamW | Sgd
    loss: Loss
    seed: int
    balance: bool = False
    patient_cap: int | None = None
    stop_patience: int | None = None
    keep_best: bool = False
    plateau: Plateau | None = None
    cosine: Cosine | None = None
    weigh_labels: bool = False
    int8_grid: bool = False


@dataclass(frozen=True)
class Claim:
    """A figure that the system's authors publish, in 0..1, by the name under which it is measured here."""

    name: str
    value: float


@dataclass(frozen=True)
class Copies:
    """What the original program makes of every image *before* it deals files at random.

    Attributes:
        turns: copies turned by 0, 1, 2, … times ``step_deg`` about the centre.
        step_deg: degrees from one copy to the next; None spreads the turns over the whole circle.
        mirrored: and all of these mirrored.
        of: files that the original makes of each image, where that is more; one of its epochs is then as long as
            several here, and patience counts accordingly.
        note: what the original does, and how this departs from it.
    """

    turns: int = 1
    mirrored: bool = False
    of: int = 0
    note: str = ""
    step_deg: float | None = None

    @property
    def degrees(self) -> tuple[float, ...]:
        """Angle of each turned copy."""
        step = 360.0 / self.turns if self.step_deg is None else self.step_deg
        return tuple(turn * step for turn in range(self.turns))

    @property
    def count(self) -> int:
        """Files an image."""
        return self.turns * (2 if self.mirrored else 1)

    def text(self) -> str:
        """Say in words what an image becomes."""
        if self.count == 1:
            return "the pictures as they are"
        turned = f"turned by {', '.join(f'{angle:g}' for angle in self.degrees)}°"
        return f"{self.count} files of each picture: {turned}" + (", and mirrored" if self.mirrored else "")


@dataclass(frozen=True)
class Recipe:
    """One system: spec, data, network, plan, split, and what its authors claim.

    Attributes:
        network: builds the Keras model; its layer named ``logits`` gives what is exported. Its argument is
            a path of pretrained backbone weights, ``imagenet``, or None; only ``transfer`` recipes take one.
        augmentation: applied to training images alone, before the steps.
        copies: what its program splits at random, for :mod:`training.experiments.leak`; None if that is not reproduced.
        cases: a patient has many images and is judged from them together (:mod:`training.policy.cases`).
        caveat: why the claim does not hold as it stands, for the model card.
    """

    spec: ModelSpec
    source: DataSource
    network: Callable[[str | None], keras.Model]
    plan: TrainingPlan
    split: SplitPlan
    transfer: bool = False
    augmentation: Augmentation | None = None
    claims: tuple[Claim, ...] = ()
    copies: Copies | None = None
    cases: bool = False
    caveat: str = ""

    def check_weights(self, weights: str | None) -> None:
        """Refuse pretrained weights for a recipe that takes none.

        Raises:
            RecipeError: as said.
        """
        if weights is not None and not self.transfer:
            raise RecipeError(f"{self.spec.name} starts from random weights and takes no --weights; leave it out.")
