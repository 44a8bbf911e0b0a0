"""The part of ``bundle.json`` that an answer needs: the spec, the files, and the guard band.

The rest, what machines measured about the model, is in :mod:`edge_runtime.bundle.manifest`; defining and reading all
its records takes longer than reading an image and answering it.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, field

from edge_runtime.bundle.saliency import Saliency
from edge_runtime.bundle.spec import ModelSpec
from edge_runtime.serialisation.records import ABSENT

SCHEMA = 1
"""Bundles with a higher number come from a newer release and are refused."""


class Role(enum.Enum):
    """What a file in a bundle is for."""

    MODEL = "model"
    CARD = "card"
    GOLDEN = "golden"
    SALIENCY = "saliency"


class Format(enum.Enum):
    """A model file's format."""

    TFLITE = "tflite"
    ONNX = "onnx"


class Precision(enum.Enum):
    """The arithmetic inside a model file."""

    INT8 = "int8"
    FLOAT16 = "float16"  # weights of 16 bits, computed with in 32
    FLOAT32 = "float32"


ROUNDED = frozenset({Precision.INT8, Precision.FLOAT16})
"""Files whose answers near a threshold are left to the float32 file."""


@dataclass(frozen=True)
class FileEntry:
    """One file of a bundle; ``format`` and ``precision`` are set for models alone."""

    name: str
    role: Role
    sha256: str
    size_bytes: int
    format: Format | None = None
    precision: Precision | None = None


@dataclass(frozen=True)
class Runnable:
    """What a prediction asks of ``bundle.json``; :class:`edge_runtime.bundle.manifest.Manifest` is the whole of it.

    Attributes:
        contract: the spec's preprocessing contract, repeated so that other programs can compare it.
        guard_band: distance (in score, 0..1) from a threshold within which the float32 file decides.
        saliency: how heatmaps are made; None in what older releases wrote.
    """

    schema: int
    spec: ModelSpec
    contract: str
    files: tuple[FileEntry, ...]
    guard_band: float
    saliency: Saliency | None = field(default=None, kw_only=True, metadata=ABSENT)

    def of_role(self, role: Role) -> tuple[FileEntry, ...]:
        """Return the files that are for one thing, in the manifest's order."""
        return tuple(entry for entry in self.files if entry.role is role)

    def __post_init__(self) -> None:
        if not 0.0 <= self.guard_band <= 1.0:  # below 0 no answer would ever be checked in float32
            raise ValueError(f"found guard_band {self.guard_band}, expected 0..1. Install the bundle again.")


MEASURED = frozenset(
    (
        *("parity_source", "parity", "training", "evaluations", "toolchain", "attempts", "guard_band_exceptions"),
        *("labelled", "map_parity", "localisations", "quantised"),
    )
)
"""The keys of ``bundle.json`` that no prediction reads."""
