"""Recipes: all choices that define one published system, as frozen dataclasses."""

from __future__ import annotations

import enum
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from edge_runtime.bundle.spec import ModelSpec
from edge_runtime.serialisation.records import ABSENT
from training.data.alterations import Alteration
from training.data.augmentation import Augmentation
from training.data.crop_plan import CropPlan
from training.data.datasets import Dataset
from training.data.datasets.lesions import Lesions
from training.data.sampling import PatientSampling
from training.data.splits import SplitPlan
from training.errors import RecipeError

if TYPE_CHECKING:
    import keras


@dataclass(frozen=True)
class DataSource:
    """A published data set: its loader, its source and its licence.

    Attributes:
        load: reads the published layout below a folder.
        research_only: the licence allows research only; models trained on the data are marked accordingly.
        lesions: returns the lesion mask of a sample; None if the data set marks no lesions.
    """

    title: str
    citation: str
    licence: str
    research_only: bool
    load: Callable[[Path], Dataset]
    lesions: Lesions | None = None


class Loss(enum.Enum):
    """Loss function; the value is its name in Keras."""

    BINARY = "binary_crossentropy"
    CATEGORICAL = "categorical_crossentropy"  # on one-hot labels; equals the sparse form


@dataclass(frozen=True)
class Adam:
    """Adam (Kingma & Ba 2015) with the defaults of Keras, except for the learning rate."""

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
        weight_decay: share of each weight that one step at learning rate 1 subtracts.
        average: momentum of the moving average of the weights (Polyak & Juditsky 1992), which replaces the weights at
            the end of the fit; None computes no average.
    """

    learning_rate: float
    weight_decay: float
    average: float | None = None


@dataclass(frozen=True)
class Cosine:
    """Learning rate that rises in equal steps over ``warm_up`` epochs, then falls to 0 along half a cosine.

    Source: Loshchilov & Hutter 2017, SGDR (ICLR), without restarts.
    """

    warm_up: int = 1

    def rate(self, highest: float, epoch: int, epochs: int) -> float:
        """Return the learning rate of ``epoch`` (counted from 0) in a fit of ``epochs``."""
        if epoch < self.warm_up:
            return highest * (epoch + 1) / (self.warm_up + 1)
        done = (epoch - self.warm_up) / max(1, epochs - self.warm_up)
        return highest * 0.5 * (1.0 + math.cos(math.pi * done))


@dataclass(frozen=True)
class Plateau:
    """Multiply the learning rate by ``factor`` after ``patience`` epochs without a better validation loss."""

    factor: float
    patience: int
    min_rate: float = 0.0


@dataclass(frozen=True)
class TrainingPlan:
    """Optimiser, loss, schedule and callbacks.

    Attributes:
        patient_cap: largest number of images per patient in the fit, drawn at random, so that no single slide
            dominates. Figures are measured on all images.
        sampling: draw each epoch anew by patient, in place of ``patient_cap``; None takes all images once an epoch.
        balance: drop images at random until all labels are as frequent as the rarest.
        weigh_labels: keep all images, but weight the loss so that every label has the same total weight.
        stop_patience: epochs without a better validation loss before fitting ends; None fits all epochs.
        int8_grid: round the filters at the end as an int8 file does (:mod:`training.networks.weight_quantisation`).
        keep_best: keep the weights of the epoch with the best validation loss instead of the last.
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
    sampling: PatientSampling | None = field(default=None, metadata=ABSENT)

    def __post_init__(self) -> None:
        if self.sampling is not None and (self.patient_cap is not None or self.balance):
            raise ValueError("plan: found sampling and patient_cap or balance, expected one way to choose images.")


@dataclass(frozen=True)
class Teacher:
    """Knowledge distillation (Hinton, Vinyals & Dean 2015, arXiv:1503.02531): part of the loss is against teachers.

    The loss of an image is ``(1 - weight) * entropy(labels) + weight * temperature² * entropy(teachers)``. Both are
    cross-entropies; the second compares the teachers' mean probability with the student's, both at ``temperature``.
    The teachers see the same augmented image as the student (:mod:`training.fitting.teachers`).

    Attributes:
        recipes: names of the recipes that a teacher may be fitted by.
        weight: share of the loss that is against the teachers, above 0 and up to 1.
        temperature: divisor of the logits of teachers and student; 1 compares plain probabilities.
    """

    recipes: tuple[str, ...]
    weight: float = 0.5
    temperature: float = 1.0

    def __post_init__(self) -> None:
        if not self.recipes or not 0.0 < self.weight <= 1.0 or self.temperature <= 0.0:
            raise ValueError(f"found {self}, expected recipes, a weight above 0 up to 1 and a temperature above 0.")


@dataclass(frozen=True)
class Claim:
    """A figure published by the system's authors, 0..1, under the name that this project uses."""

    name: str
    value: float


@dataclass(frozen=True)
class Copies:
    """Copies that the original program makes of every image *before* it splits the files at random.

    Attributes:
        turns: number of copies, rotated by 0, 1, 2, … times ``step_deg`` about the centre.
        step_deg: degrees between two copies; None spreads the copies over the whole circle.
        mirrored: also add the mirror image of each copy.
        of: number of files that the original makes of each image, if larger than here. An epoch of the original is
            then as long as several epochs here, and the patience is scaled accordingly.
        note: description of the original, and of the differences from it.
    """

    turns: int = 1
    mirrored: bool = False
    of: int = 0
    note: str = ""
    step_deg: float | None = None

    @property
    def degrees(self) -> tuple[float, ...]:
        """Rotation angle of each copy, in degrees."""
        step = 360.0 / self.turns if self.step_deg is None else self.step_deg
        return tuple(turn * step for turn in range(self.turns))

    @property
    def count(self) -> int:
        """Number of files per image."""
        return self.turns * (2 if self.mirrored else 1)

    def text(self) -> str:
        """Return a description of the copies in words."""
        if self.count == 1:
            return "the pictures as they are"
        turned = f"turned by {', '.join(f'{angle:g}' for angle in self.degrees)}°"
        return f"{self.count} files of each picture: {turned}" + (", and mirrored" if self.mirrored else "")


class ImageLimit(enum.Enum):
    """A limit of :class:`edge_runtime.ood.image_limits.ImageLimits` that is fitted on the model's own images."""

    LEAST_SIDE = "least_side_px"
    MOST_SIDE = "most_side_px"
    LEAST_DARK = "least_dark"


@dataclass(frozen=True)
class FamiliarLayer:
    """The feature map on which the out-of-distribution check is fitted.

    Attributes:
        name: name of the network's layer, whose output is H×W×C. An early layer that the fit does not change is best.
        scaled: divide each feature by about its standard deviation before the principal components are computed.
        site_share: tolerated share (0..1) of the images of a site that the fit has not seen; needs a data set with
            several sites. None looks at the model's own sites only.
        alterations: changes of own images that discriminants are fitted to notice; none by default.
        limits: names of the limits of the image as read that are fitted.
    """

    name: str
    scaled: bool = True
    site_share: float | None = None
    alterations: tuple[Alteration, ...] = ()
    limits: tuple[ImageLimit, ...] = ()


@dataclass(frozen=True)
class Recipe:
    """One system: spec, data, network, training plan, split, and published figures.

    Attributes:
        network: builds the Keras model; the output of its layer ``logits`` is exported. The argument is a path of
            pretrained backbone weights, ``imagenet``, or None. Only ``transfer`` recipes accept weights.
        augmentation: applied to the prepared tensors of training images only.
        crops: fit on random crops around lesions instead of prepared tensors (:mod:`training.fitting.crop_fit`).
        copies: files that the original program splits at random, for :mod:`training.experiments.leak`; None if the
            experiment does not cover this recipe.
        cases: a patient has many images, and the decision is made per patient (:mod:`training.policy.cases`).
        caveat: limits of the published claim, for the model card.
        teacher: the network is distilled from others; None if it is fitted on labels alone.
        familiar: feature map for the out-of-distribution check (:mod:`training.evaluation.network_familiarity`); None
            for a check on statistics of the image.
    """

    spec: ModelSpec
    source: DataSource
    network: Callable[[str | None], keras.Model]
    plan: TrainingPlan
    split: SplitPlan
    transfer: bool = False
    augmentation: Augmentation | None = None
    crops: CropPlan | None = None
    claims: tuple[Claim, ...] = ()
    copies: Copies | None = None
    cases: bool = False
    caveat: str = ""
    teacher: Teacher | None = None
    familiar: FamiliarLayer | None = None

    def check_weights(self, weights: str | None) -> None:
        """Check that pretrained weights are given only to a transfer recipe.

        Raises:
            RecipeError: ``weights`` is given, and the recipe has no pretrained backbone.
        """
        if weights is not None and not self.transfer:
            raise RecipeError(f"{self.spec.name} starts from random weights and takes no --weights. Remove the option.")
