"""Fields of ``bundle.json``: the spec, the files, and all figures measured on the model."""

from __future__ import annotations

from dataclasses import field

from edge_runtime.bundle.metrics import Evaluation, Figure, Localisation, SiteFigures, SplitAudit
from edge_runtime.bundle.quantisation import Attempt, QuantisedShare
from edge_runtime.bundle.reference_distribution import ReferenceDistribution
from edge_runtime.bundle.runtime_manifest import ROUNDED, SCHEMA, FileEntry, Format, Precision, Role, Runnable
from edge_runtime.serialisation.frozen import dataclass
from edge_runtime.serialisation.records import ABSENT

__all__ = [
    "KERAS",
    "ROUNDED",
    "SCHEMA",
    "Attempt",
    "Coverage",
    "Distillation",
    "Evaluation",
    "FamiliarityParity",
    "Figure",
    "FileEntry",
    "Format",
    "Labelled",
    "Manifest",
    "Parity",
    "Precision",
    "QuantisedShare",
    "Reference",
    "Role",
    "TeacherModel",
    "TrainingRecord",
]

KERAS = "keras"
"""The ``subject`` of figures that were measured on the Keras model."""


@dataclass(frozen=True)
class TeacherModel:
    """A model whose scores another model was fitted on; ``sha256`` is that of its ``model.keras``."""

    name: str
    version: str
    sha256: str


@dataclass(frozen=True)
class Distillation:
    """How a model was fitted on the scores of teachers (Hinton et al. 2015, arXiv:1503.02531).

    Attributes:
        weight: share (0..1) of the loss that was against the teachers' mean score; the rest was against the labels.
        temperature: divisor of the logits in that part of the loss.
    """

    weight: float
    temperature: float
    teachers: tuple[TeacherModel, ...]


@dataclass(frozen=True)
class TrainingRecord:
    """The training of a model: recipe, data set, split and versions.

    Attributes:
        policy: how the decision thresholds were chosen, as text.
        audit: the audit of data set and split; None in manifests of older releases.
        distillation: the teachers of a distilled model; None for a model fitted on labels alone.
        folds: number of networks behind the figures of part ``cross-validation``, which were fitted by the same recipe
            but are not this model; None if there are no such figures.
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
    distillation: Distillation | None = field(default=None, metadata=ABSENT)
    folds: int | None = field(default=None, metadata=ABSENT)


@dataclass(frozen=True)
class Reference:
    """The ONNX or TFLite file that a bundle was made from. Parity is measured against its own answers.

    Attributes:
        format: the only format of the bundle's model files.
        name: its file name.
        sha256: its SHA-256, hex; without weights in other files.
        interpreter: package and version that computed its answers.
        output: name of the output that gives the scores.
        quantised: it was quantised already, and the bundle has no float32 file.
        changes: differences between this file and the bundle's network, a sentence each.
        left_out: why the bundle lacks the other format.
    """

    format: Format
    name: str
    sha256: str
    interpreter: str
    output: str
    quantised: bool
    changes: tuple[str, ...]
    left_out: str


@dataclass(frozen=True)
class Parity:
    """Comparison of one exported file with the Keras model, from file bytes to score, on one runtime.

    Attributes:
        logit_max, logit_mean: largest and mean |Δ logit|.
        score_max, score_mean: largest and mean |Δ positive score|, 0..1.
        flips: decision flips without the guard band.
        flips_guarded: decision flips with the guard band.
        reruns: images in the guard band, which the float32 file decides.
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
    """Comparison of one file's heatmaps with TensorFlow's.

    Attributes:
        images: number of images.
        worst: largest difference over all maps, as a share of the map's range, 0..1.
        blank: number of maps that have no value above 0 in both versions.
    """

    file: str
    runtime: str
    images: int
    worst: float
    blank: int


@dataclass(frozen=True)
class FamiliarityParity:
    """Comparison of one file's out-of-distribution distances with the Keras model's.

    Attributes:
        images: number of images.
        difference_max, difference_mean: largest and mean |Δ distance|, relative to the Keras model's distance.
        flips: images that pass the check in one of file and Keras model alone, without the familiarity band.
        flips_guarded: the same with the band.
        reruns: images within the band, which the float32 file decides.
    """

    file: str
    runtime: str
    images: int
    difference_max: float
    difference_mean: float
    flips: int
    flips_guarded: int
    reruns: int


@dataclass(frozen=True)
class Coverage:
    """Figures on the images whose confidence is at least ``confidence``.

    Attributes:
        confidence: smallest confidence, 0..1.
        coverage: share of these images among all images, 0..1.
        accuracy, precision, recall: figures of the positive labels on these images, 0..1; None where undefined.
    """

    confidence: float
    coverage: float
    accuracy: float | None
    precision: float | None
    recall: float | None


@dataclass(frozen=True)
class Labelled:
    """Figures of the Keras model or one model file on the labelled parity images, without intervals.

    Attributes:
        subject: :data:`KERAS`, or a model file's name; without the guard band.
        auroc: AUROC of the positive score; None if one class is missing.
        calibration_error: expected calibration error of the confidence, 0..1.
    """

    subject: str
    images: int
    groups: int
    auroc: float | None
    calibration_error: float
    coverage: tuple[Coverage, ...]

    def auroc_change(self, other: Labelled) -> float | None:
        """Return this AUROC minus the other; None if either is None."""
        return None if self.auroc is None or other.auroc is None else self.auroc - other.auroc


@dataclass(frozen=True)
class Manifest(Runnable):
    """The complete ``bundle.json``: the fields for prediction, followed by the measured figures.

    Attributes:
        guard_band_exceptions: upper 95 % bound on the share of images outside the guard band on which int8 and float32
            decide differently; None if not measured.
        parity_source: the images on which parity and guard band were measured.
        attempts: all quantisation attempts, file by file, in order.
        labelled: figures on the parity images, those of the Keras model first; empty if labels are unknown.
        toolchain: versions of the packages that made the files.
        map_parity: comparison of heatmaps with TensorFlow's or the given file's; None without heatmaps.
        quantised: quantised share of each model file; None in manifests of older releases.
        localisations: how well heatmaps point at lesions; None if not measured.
        sites: figures by site and scanner, never-seen ones first; None if not measured.
        familiarity_parity: comparison of out-of-distribution distances with the Keras model's; None without a check on
            network features.
        reference: the ONNX or TFLite file that takes the place of the Keras model; None for a Keras model.
        warnings: what the parity images showed against the model or its spec when it was exported; None if nothing.
        reference_distribution: answers on validation patients, which drift is measured against; None if not measured.
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
    sites: tuple[SiteFigures, ...] | None = field(default=None, metadata=ABSENT)
    familiarity_parity: tuple[FamiliarityParity, ...] | None = field(default=None, metadata=ABSENT)
    reference: Reference | None = field(default=None, metadata=ABSENT)
    warnings: tuple[str, ...] | None = field(default=None, metadata=ABSENT)
    reference_distribution: ReferenceDistribution | None = field(default=None, metadata=ABSENT)

    @property
    def compared_with(self) -> str:
        """The model that parity was measured against, as part of a sentence."""
        if self.reference is None:
            return "the Keras model"
        kind = {Format.ONNX: "ONNX", Format.TFLITE: "TFLite"}[self.reference.format]
        return f"the given {kind} file {self.reference.name}"
