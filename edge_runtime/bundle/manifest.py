"""What ``bundle.json`` holds: the chosen spec, and everything that machines measured about the model."""

from __future__ import annotations

from dataclasses import dataclass, field

from edge_runtime.bundle.metrics import Evaluation, Figure, Localisation, SplitAudit
from edge_runtime.bundle.quantisation import Attempt, QuantisedShare
from edge_runtime.bundle.runtime_manifest import ROUNDED, SCHEMA, FileEntry, Format, Precision, Role, Runnable
from edge_runtime.serialisation.records import ABSENT

__all__ = [
    "KERAS",
    "ROUNDED",
    "SCHEMA",
    "Attempt",
    "Coverage",
    "Evaluation",
    "Figure",
    "FileEntry",
    "Format",
    "Labelled",
    "Manifest",
    "Parity",
    "Precision",
    "QuantisedShare",
    "Role",
    "TrainingRecord",
]

KERAS = "keras"
"""The subject of figures that were measured on the Keras model itself."""


@dataclass(frozen=True)
class TrainingRecord:
    """Where a model comes from.

    Attributes:
        policy: how the thresholds of the decision were chosen; sentences for people.
        audit: what was found in data and split; None in what older releases wrote.
    """

    recipe: str
    dataset: str
    citation: str
    licence: str
    research_only: bool
    split: str
    images: dict[str, int]
    groups: dict[str, int]
    epochs: int
    versions: dict[str, str]
    claims: tuple[Figure, ...]
    caveat: str
    policy: str = "as published"
    audit: SplitAudit | None = None


@dataclass(frozen=True)
class Parity:
    """One exported file against the Keras model, from file bytes to score, on one runtime.

    Attributes:
        logit_max, logit_mean: |Δ logit|.
        score_max, score_mean: |Δ positive score|, 0..1.
        flips: decisions that differ, before the guard band.
        flips_guarded: decisions that differ after it.
        reruns: images that the guard band hands to the float32 file.
    """

    file: str
    runtime: str
    images: int
    logit_max: float
    logit_mean: float
    score_max: float
    score_mean: float
    flips: int
    flips_guarded: int
    reruns: int


@dataclass(frozen=True)
class MapParity:
    """One file's heatmaps against TensorFlow's, over images.

    Attributes:
        worst: the largest difference anywhere, as a share of that map's range, 0..1.
        blank: maps without a value above 0, on both sides.
    """

    file: str
    runtime: str
    images: int
    worst: float
    blank: int


@dataclass(frozen=True)
class Coverage:
    """One row of system 4's table: images whose confidence reaches ``confidence``, and the answers to these.

    Attributes:
        coverage: their share of all images, 0..1.
        accuracy, precision, recall: of the positive labels, 0..1; None where undefined.
    """

    confidence: float
    coverage: float
    accuracy: float | None
    precision: float | None
    recall: float | None


@dataclass(frozen=True)
class Labelled:
    """What one source of logits makes of the parity images, whose labels are known; point values.

    Attributes:
        subject: :data:`KERAS`, or a model file's name; before the guard band.
        auroc: of the positive score; None where one class is missing.
        calibration_error: expected calibration error of the confidence, 0..1.
    """

    subject: str
    images: int
    groups: int
    auroc: float | None
    calibration_error: float
    coverage: tuple[Coverage, ...]

    def auroc_change(self, other: Labelled) -> float | None:
        """Return this AUROC less another's; None where either is."""
        return None if self.auroc is None or other.auroc is None else self.auroc - other.auroc


@dataclass(frozen=True)
class Manifest(Runnable):
    """The whole of ``bundle.json``: what an answer needs, and after it what was measured.

    Attributes:
        guard_band_exceptions: upper 95 % bound on the share of images outside the band that int8 decides otherwise
            than float32; None where nothing was measured.
        parity_source: which images parity and guard band were measured on.
        attempts: every way of quantising that was tried, file by file, in order.
        labelled: figures on the parity images, the Keras model's first; empty where labels are unknown.
        toolchain: versions of everything that made the files.
        map_parity: heatmaps against TensorFlow's; None where there are none.
        quantised: how much of each model file has eight bits; None in what older releases wrote.
        localisations: whether they point at lesions; None where that was not measured.
    """

    parity_source: str
    parity: tuple[Parity, ...]
    training: TrainingRecord | None
    evaluations: tuple[Evaluation, ...]
    toolchain: dict[str, str]
    attempts: tuple[Attempt, ...] = ()
    guard_band_exceptions: float | None = None
    labelled: tuple[Labelled, ...] = ()
    quantised: tuple[QuantisedShare, ...] | None = field(default=None, metadata=ABSENT)
    map_parity: tuple[MapParity, ...] | None = field(default=None, metadata=ABSENT)
    localisations: tuple[Localisation, ...] | None = field(default=None, metadata=ABSENT)
