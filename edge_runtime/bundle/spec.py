"""The spec of a model: preprocessing steps, labels, head, decision policy and tolerances.

The *preprocessing contract* is the SHA-256 of ``ModelSpec.steps`` in canonical JSON, together with ``ModelSpec.dicom``
where a spec has it. Two models with the same contract compute the same tensor for the same image. No step relies on a
library's default: colour order, size, interpolation, dtype, kernel and border are all explicit. For a model of marked
regions, ``region`` defines the crop that is the input of the steps.
"""

from __future__ import annotations

import re
from dataclasses import field
from functools import cached_property

from edge_runtime.bundle.dicom_input import DicomInput
from edge_runtime.bundle.policy import DecisionPolicy, Head
from edge_runtime.images.colour import ColourOrder
from edge_runtime.images.region import LEAST_PX, RegionCrop
from edge_runtime.ood.detector import Familiarity
from edge_runtime.ood.network_features import NetworkFamiliarity
from edge_runtime.platform.sha256 import sha256_of
from edge_runtime.preprocessing.steps import Colour, Step, check_order, check_sizes, size_of
from edge_runtime.serialisation.frozen import dataclass
from edge_runtime.serialisation.records import ABSENT, canonical_json

LARGEST_MICRONS = 1000.0
"""Largest scale of a spec, in microns per pixel."""


@dataclass(frozen=True)
class ParityTolerance:
    """Largest differences between an exported file and the Keras model; export fails above them.

    Attributes:
        float32_logit_max: largest |Δ logit| of a float32 file, relative to max(1, |logit|).
        int8_score_mean: mean |Δ score| of an int8 file over the parity images.
        int8_flips_per_1000: decision flips of an int8 file per 1000 images, before the guard band; one flip is always
            allowed.
    """

    float32_logit_max: float = 1e-4
    int8_score_mean: float = 0.02
    int8_flips_per_1000: float = 5.0

    def __post_init__(self) -> None:
        for name, most in (("float32_logit_max", 1.0), ("int8_score_mean", 1.0), ("int8_flips_per_1000", 1000.0)):
            if not 0.0 <= getattr(self, name) <= most:
                raise ValueError(f"tolerance: found {name} {getattr(self, name)}, expected 0..{most:g}.")


@dataclass(frozen=True)
class ModelSpec:
    """The declaration of a model. Immutable; the same in a recipe, a bundle and a model file.

    Attributes:
        name: lower-case words joined by hyphens; also the bundle's name.
        version: MAJOR.MINOR.PATCH.
        summary: one line for people: the input image and the predicted classes.
        steps: preprocessing steps, in the order in which they are applied.
        labels: one label for each score, in the order of the network's outputs.
        positive: the labels whose scores add up to the positive score.
        head: how logits become scores.
        policy: thresholds and case rule.
        min_side_px: smallest side of an image, in pixels. Smaller images are rejected: enlarging would invent tissue.
        tolerance: largest differences that export accepts.
        region: the crop around a marked region; None for a model that classifies whole images.
        familiarity: the out-of-distribution check, which refers images unlike the training set; None for no check.
        microns_per_pixel: scale of the images, for a model that depends on it; None if the scale is not fixed. An image
            whose stated scale differs is rejected (:mod:`edge_runtime.images.scale`).
        tile_px: side of a tile of a slide in pixels, where it is not the network's input size; None if it is. For a
            network that enlarges its images.
        dicom: the DICOM objects that the model accepts; None if it accepts none.
    """

    name: str
    version: str
    summary: str
    steps: tuple[Step, ...]
    labels: tuple[str, ...]
    positive: tuple[str, ...]
    head: Head
    policy: DecisionPolicy
    min_side_px: int = 8
    tolerance: ParityTolerance = field(default_factory=ParityTolerance)
    region: RegionCrop | None = field(default=None, metadata=ABSENT)
    familiarity: Familiarity | NetworkFamiliarity | None = field(default=None, metadata=ABSENT)
    microns_per_pixel: float | None = field(default=None, metadata=ABSENT)
    tile_px: int | None = field(default=None, metadata=ABSENT)
    dicom: DicomInput | None = field(default=None, metadata=ABSENT)

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", self.name):
            raise ValueError(f"name: found {self.name!r}, expected lower-case words joined by hyphens.")
        if not re.fullmatch(r"(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)", self.version, re.ASCII):
            raise ValueError(f"version: found {self.version!r}, expected MAJOR.MINOR.PATCH without leading zeros.")
        if not 1 <= self.min_side_px <= 65535:
            raise ValueError(f"min_side_px: found {self.min_side_px}, expected 1..65535.")
        if len(self.labels) < 2 or len(set(self.labels)) != len(self.labels):
            raise ValueError(f"labels: found {self.labels}, expected two or more different names.")
        if not self.positive or not set(self.positive) < set(self.labels):
            raise ValueError(f"positive: found {self.positive}, expected some, not all, of the labels {self.labels}.")
        if self.head is Head.SIGMOID and (len(self.labels) != 2 or self.positive != self.labels[1:]):
            raise ValueError("head sigmoid: expected two labels, with the second one positive. Correct the labels.")
        if self.head is Head.PROBABILITIES and self.policy.temperature != 1.0:
            raise ValueError(
                f"head probabilities: found temperature {self.policy.temperature}, expected 1. Only logits have one."
            )
        if self.image_check is not None and self.image_check.whole is not None and self.region is None:
            raise ValueError(
                "familiarity: found whole, expected none in a spec without region, where the check already uses the "
                "whole image. Leave it out."
            )
        if self.microns_per_pixel is not None and not 0.0 < self.microns_per_pixel <= LARGEST_MICRONS:
            raise ValueError(
                f"microns_per_pixel: found {self.microns_per_pixel}, expected a number above 0, at most "
                f"{LARGEST_MICRONS:g}."
            )
        if self.tile_px is not None and not self.min_side_px <= self.tile_px <= 4096:
            raise ValueError(
                f"tile_px: found {self.tile_px}, expected min_side_px ({self.min_side_px}) to 4096 pixels."
            )
        check_order(self.steps)
        check_sizes(self.steps, self._least_px)

    @property
    def size_px(self) -> tuple[int, int]:
        """Width and height of the tensor in pixels, from the steps that change an image's size."""
        return size_of(self.steps)

    @property
    def _least_px(self) -> int:
        """Shortest side of an input of the steps: of an image, or of the crop around a region."""
        return self.min_side_px if self.region is None else max(LEAST_PX, round(2 * self.region.least_half_px))

    @property
    def tile_size_px(self) -> tuple[int, int]:
        """Width and height of a tile of a slide, in pixels of the slide."""
        return self.size_px if self.tile_px is None else (self.tile_px, self.tile_px)

    @property
    def channels(self) -> int:
        """Number of channels of the tensor: 1 for grey, 3 for colour."""
        last = [step for step in self.steps if isinstance(step, Colour)][-1]
        return 1 if last.order is ColourOrder.GREY else 3

    @property
    def image_check(self) -> Familiarity | None:
        """The out-of-distribution check from statistics of the image; None if the spec has no such check."""
        return self.familiarity if isinstance(self.familiarity, Familiarity) else None

    @property
    def network_check(self) -> NetworkFamiliarity | None:
        """The out-of-distribution check from features of the network; None if the spec has no such check."""
        return self.familiarity if isinstance(self.familiarity, NetworkFamiliarity) else None

    @property
    def outputs(self) -> int:
        """Number of outputs that the network must have."""
        return 1 if self.head is Head.SIGMOID else len(self.labels)

    @cached_property
    def contract(self) -> str:
        """The preprocessing contract: SHA-256 (hex) of the canonical JSON of ``steps``.

        With ``dicom``, it is that of an object with the keys ``dicom`` and ``steps``.
        """
        stated = self.steps if self.dicom is None else {"dicom": self.dicom, "steps": self.steps}
        return sha256_of(canonical_json(stated).encode("ascii"))
