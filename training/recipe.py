"""What a recipe is: everything that a person chose about one published system, frozen."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from edge_runtime.spec import ModelSpec
from training.augmentation import Augmentation
from training.datasets import Dataset
from training.splits import SplitPlan

if TYPE_CHECKING:
    import keras


@dataclass(frozen=True)
class DataSource:
    """A published data set: how to read it and what binds those who use it.

    Attributes:
        load: reads the published layout below a folder.
        research_only: models trained on it stay marked as such.
    """

    title: str
    citation: str
    licence: str
    research_only: bool
    load: Callable[[Path], Dataset]


@dataclass(frozen=True)
class TrainingPlan:
    """Optimiser (Adam), loss, schedule and callbacks.

    Attributes:
        balance: drop pictures of the larger classes at random until all are as frequent as the smallest.
        patient_cap: most pictures of one patient that are fitted on, drawn at random, so that no single
            slide outweighs the other patients; figures are measured on all pictures.
        stop_patience: epochs without a better validation loss before fitting ends; the best weights stay.
        plateau_factor, plateau_patience, plateau_min: ReduceLROnPlateau on the validation loss.
    """

    epochs: int
    batch: int
    learning_rate: float
    loss: str
    balance: bool
    patient_cap: int
    stop_patience: int
    plateau_factor: float
    plateau_patience: int
    plateau_min: float
    seed: int


@dataclass(frozen=True)
class Claim:
    """A figure that the system's authors publish, in 0..1, with what it was measured on."""

    name: str
    value: float


@dataclass(frozen=True)
class Recipe:
    """One system: spec, data, network, plan, split, and what its authors claim.

    Attributes:
        network: builds the Keras model; its layer named ``logits`` gives what is exported.
        augmentation: drawn for training pictures alone.
        caveat: why the claim does not hold as it stands, for the model card.
    """

    spec: ModelSpec
    source: DataSource
    network: Callable[[], keras.Model]
    plan: TrainingPlan
    split: SplitPlan
    augmentation: Augmentation | None = None
    claims: tuple[Claim, ...] = ()
    caveat: str = ""
