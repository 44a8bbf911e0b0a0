"""The part of ``bundle.json`` that a prediction requires: the spec, the files and the guard band.

The measured figures are in :mod:`edge_runtime.bundle.manifest`. Defining and reading all their records takes longer
than predicting one image.
"""

from __future__ import annotations

import enum
from dataclasses import field

from edge_runtime.bundle.saliency import Saliency
from edge_runtime.bundle.spec import ModelSpec
from edge_runtime.serialisation.frozen import dataclass
from edge_runtime.serialisation.records import ABSENT

SCHEMA = 1
"""Version of ``bundle.json``. Bundles with a higher number come from a newer release and are rejected."""


class Role(enum.Enum):
    """The purpose of a file in a bundle."""

    MODEL = "model"
    CARD = "card"
    GOLDEN = "golden"
    SALIENCY = "saliency"


class Format(enum.Enum):
    """The format of a model file."""

    TFLITE = "tflite"
    ONNX = "onnx"


class Precision(enum.Enum):
    """The arithmetic of a model file."""

    INT8 = "int8"
    FLOAT16 = "float16"  # 16-bit weights, 32-bit arithmetic
    FLOAT32 = "float32"


ROUNDED = frozenset({Precision.INT8, Precision.FLOAT16})
"""Precisions with a guard band: near a threshold, the float32 file decides in their place."""


@dataclass(frozen=True)
class FileEntry:
    """One file of a bundle; ``format`` and ``precision`` are set only for models."""

    name: str
    role: Role
    sha256: str
    size_bytes: int
    format: Format | None = None
    precision: Precision | None = None


@dataclass(frozen=True)
class Runnable:
    """The fields of ``bundle.json`` that a prediction requires.

    :class:`edge_runtime.bundle.manifest.Manifest` contains all fields.

    Attributes:
        schema: version of ``bundle.json``.
        spec: the model's spec.
        contract: the spec's preprocessing contract, repeated so that other programs can compare it.
        files: all files of the bundle.
        guard_band: largest distance from a threshold, in score units (0..1), at which the float32 file decides.
        saliency: the heatmap method; None in manifests of older releases.
        familiarity_band: largest distance of ``familiarity`` from 1 at which the float32 file decides whether an image
            is out-of-distribution; None for a spec without a check on network features.
    """

    schema: int
    spec: ModelSpec
    contract: str
    files: tuple[FileEntry, ...]
    guard_band: float
    saliency: Saliency | None = field(default=None, kw_only=True, metadata=ABSENT)
    familiarity_band: float | None = field(default=None, kw_only=True, metadata=ABSENT)

    def of_role(self, role: Role) -> tuple[FileEntry, ...]:
        """Return the files with this role, in the manifest's order."""
        return tuple(entry for entry in self.files if entry.role is role)

    def __post_init__(self) -> None:
        if not 0.0 <= self.guard_band <= 1.0:  # below 0, the float32 file would never decide
            raise ValueError(f"found guard_band {self.guard_band}, expected 0..1. Install the bundle again.")
        if self.familiarity_band is not None and not 0.0 <= self.familiarity_band <= 1.0:
            raise ValueError(
                f"found familiarity_band {self.familiarity_band}, expected 0..1. Install the bundle again."
            )


MEASURED = frozenset(
    (
        *("parity_source", "parity", "training", "evaluations", "toolchain", "attempts", "guard_band_exceptions"),
        *("labelled", "map_parity", "localisations", "quantised", "sites", "familiarity_parity", "reference"),
        *("warnings", "reference_distribution"),
    )
)
"""Keys of ``bundle.json`` that a prediction does not read."""
