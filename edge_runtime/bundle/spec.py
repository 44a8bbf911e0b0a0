"""What a person chooses about a model: its steps, labels, head, policy and tolerances.

``ModelSpec.steps`` in canonical JSON, hashed with SHA-256, is the *preprocessing contract*: two
models with the same hash see the same tensor for the same image. Nothing in a step is a library's
default: colour order, size, interpolation, dtype, kernel and border are all written out. Where a model is asked about
a marked region, ``region`` says what is cut out first; the steps see the cut as their image.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field
from functools import cached_property

from edge_runtime.bundle.policy import DecisionPolicy, Head
from edge_runtime.images.colour import ColourOrder
from edge_runtime.images.region import RegionCrop
from edge_runtime.ood.detector import Familiarity
from edge_runtime.preprocessing.steps import Colour, Resize, Step, check_order
from edge_runtime.serialisation.records import ABSENT, canonical_json


@dataclass(frozen=True)
class ParityTolerance:
    """How far an exported file may stray from the Keras model before export refuses.

    Attributes:
        float32_logit_max: largest |Δ logit| of a float32 file, relative to max(1, |logit|).
        int8_score_mean: mean |Δ score| of an int8 file over the parity images.
        int8_flips_per_1000: decisions of an int8 file that differ, before the guard band; one is always allowed.
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
    """A model as its makers declare it; immutable, and the same in a recipe, a bundle and a model file.

    Attributes:
        name: lower-case words joined by hyphens; also the bundle's name.
        version: MAJOR.MINOR.PATCH.
        summary: one line for people: what image goes in and what is answered.
        steps: applied in this order to every image.
        labels: one a score, in the order of the network's outputs.
        positive: the labels whose scores add up to the positive score.
        min_side_px: images with a shorter side are refused: stretching them would invent tissue.
        region: how a marked region is cut out of the image; None for a model that answers about whole images.
        familiarity: which images the model is for; others are referred. None where every image is answered.
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
    familiarity: Familiarity | None = field(default=None, metadata=ABSENT)

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", self.name):
            raise ValueError(f"name {self.name!r}: expected lower-case words joined by hyphens.")
        if not re.fullmatch(r"(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)", self.version, re.ASCII):
            raise ValueError(f"version {self.version!r}: expected MAJOR.MINOR.PATCH, none with a leading zero.")
        if not 1 <= self.min_side_px <= 65535:
            raise ValueError(f"found min_side_px {self.min_side_px}, expected 1..65535.")
        if len(self.labels) < 2 or len(set(self.labels)) != len(self.labels):
            raise ValueError(f"labels {self.labels}: expected two or more different names.")
        if not self.positive or not set(self.positive) < set(self.labels):
            raise ValueError(f"positive {self.positive}: expected some, not all, of the labels {self.labels}.")
        if self.head is Head.SIGMOID and (len(self.labels) != 2 or self.positive != self.labels[1:]):
            raise ValueError("head sigmoid: expected two labels, the second of them positive.")
        if self.head is Head.PROBABILITIES and self.policy.temperature != 1.0:
            raise ValueError(
                f"head probabilities: found temperature {self.policy.temperature}, expected 1; it is for logits."
            )
        if self.familiarity is not None and self.familiarity.whole is not None and self.region is None:
            raise ValueError(
                "familiarity: found whole, expected none in a spec without region: such a model is shown the whole "
                "image, and that is judged. Leave it out."
            )
        check_order(self.steps)

    @property
    def size_px(self) -> tuple[int, int]:
        """Width and height of the tensor, from the last resize."""
        last = [step for step in self.steps if isinstance(step, Resize)][-1]
        return last.width_px, last.height_px

    @property
    def channels(self) -> int:
        """1 for grey, 3 for colour."""
        last = [step for step in self.steps if isinstance(step, Colour)][-1]
        return 1 if last.order is ColourOrder.GREY else 3

    @property
    def outputs(self) -> int:
        """The number of logits that the network must end with."""
        return 1 if self.head is Head.SIGMOID else len(self.labels)

    @cached_property
    def contract(self) -> str:
        """SHA-256 (hex) of the canonical JSON of ``steps``: the preprocessing contract."""
        return hashlib.sha256(canonical_json(self.steps).encode("ascii")).hexdigest()
