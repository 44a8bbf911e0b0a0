"""The decision policy of a spec: head, thresholds and case rule; and the identity of a site policy."""

from __future__ import annotations

import enum
from dataclasses import field

from edge_runtime.serialisation.frozen import dataclass
from edge_runtime.serialisation.records import ABSENT


class Head(enum.Enum):
    """The function that converts logits into scores of 0..1.

    ``probabilities`` is for networks whose final activation cannot be removed. Scores of its int8 file have only 256
    values, with none between 255/256 and 1. Such a file never reaches a confidence floor of 0.999.
    """

    SOFTMAX = "softmax"  # one logit for each label, scores sum to 1
    SIGMOID = "sigmoid"  # one logit for two labels: that of the second label
    INDEPENDENT_SIGMOIDS = "independent_sigmoids"  # one logit for each label, scores need not sum to 1
    PROBABILITIES = "probabilities"  # no logits: one score for each label, 0..1, used unchanged


@dataclass(frozen=True)
class CaseRule:
    """The rule for a patient with several images.

    A patient is POSITIVE if at least ``count`` images are POSITIVE with at least ``confidence``. Images with less
    confidence are not counted, whatever their decision.

    Attributes:
        confidence: smallest confidence of a counted image, 0..1.
        count: smallest number of positive images, 1 or more.
    """

    confidence: float
    count: int

    def __post_init__(self) -> None:
        if not (0.0 <= self.confidence <= 1.0 and self.count >= 1):
            raise ValueError(
                f"case: found confidence {self.confidence} and count {self.count}, "
                "expected a confidence of 0..1 and a count of 1 or more."
            )


@dataclass(frozen=True)
class DecisionPolicy:
    """The thresholds that convert scores into decisions.

    Attributes:
        cutoff: smallest positive score (0..1) of a POSITIVE image.
        confidence_floor: confidence (0..1) below which the decision is REFER.
        temperature: divisor of the logits. Both thresholds apply to scores computed from the divided logits.
        case: the rule for a patient with several images; None if only single images are decided.
        neighbours: weight (over 0, at most 1) of the logits of each of the up to eight tiles around a tile of a slide.
            None if each tile is decided alone. Has no effect on single images.
    """

    cutoff: float
    confidence_floor: float
    temperature: float = 1.0
    case: CaseRule | None = None
    neighbours: float | None = field(default=None, metadata=ABSENT)

    def __post_init__(self) -> None:
        if not 1e-6 <= self.temperature <= 1e6:  # the limits avoid overflow when a float32 logit is divided
            raise ValueError(f"policy: found temperature {self.temperature}, expected more than 0 (1e-6..1e6).")
        for name in ("cutoff", "confidence_floor"):
            if not 0.0 <= getattr(self, name) <= 1.0:
                raise ValueError(f"policy: found {name} {getattr(self, name)}, expected 0..1.")
        if self.neighbours is not None and not 0.0 < self.neighbours <= 1.0:
            raise ValueError(
                f"policy: found neighbours {self.neighbours}, expected more than 0 and at most 1, or none."
            )


@dataclass(frozen=True)
class SitePolicyId:
    """Identity of a site policy, as answers name it.

    Attributes:
        name: the site's name of it.
        version: 1 or more; it rises with each policy of a model.
        sha256: SHA-256 (hex) of the policy's file.
    """

    name: str
    version: int
    sha256: str

    def __str__(self) -> str:
        """Return name and version."""
        return f"{self.name} {self.version}"

    def to_dict(self) -> dict[str, object]:
        """Return the JSON form (docs/reference/json.md)."""
        return {"name": self.name, "version": self.version, "sha256": self.sha256}
