"""What a spec chooses about decisions: the head, the thresholds and the rule for a case."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field

from edge_runtime.serialisation.records import ABSENT


class Head(enum.Enum):
    """How logits become scores in 0..1.

    ``probabilities`` is for networks whose final activation cannot be removed. The scores of its int8 file have
    256 values: between 255/256 and 1 no confidence exists, and a confidence floor of 0.999 is never reached there.
    """

    SOFTMAX = "softmax"  # one logit a label, scores sum to 1
    SIGMOID = "sigmoid"  # one logit for two labels: the second's
    INDEPENDENT_SIGMOIDS = "independent_sigmoids"  # one logit a label, scores need not sum to 1
    PROBABILITIES = "probabilities"  # no logits: one score a label, 0..1, used as it is


@dataclass(frozen=True)
class CaseRule:
    """A patient is positive from ``count`` images called positive with ``confidence`` (0..1) or more.

    An image of less confidence is not counted, for either side.
    """

    confidence: float
    count: int

    def __post_init__(self) -> None:
        if not (0.0 <= self.confidence <= 1.0 and self.count >= 1):
            raise ValueError(f"{self}: expected a confidence of 0..1 and a count of 1 or more.")


@dataclass(frozen=True)
class DecisionPolicy:
    """Where scores turn into decisions.

    Attributes:
        cutoff: the positive score (0..1) from which an image is POSITIVE.
        confidence_floor: the largest score of any label (0..1) under which the answer is REFER.
        temperature: logits are divided by it before any score, so both thresholds apply to the divided ones.
        case: how a patient follows from several images; None where single images are judged.
        neighbours: weight (over 0, at most 1) of the logits of each of the up to eight tiles that touch a tile of a
            slide; None where every tile is judged for itself. Single images have no neighbours.
    """

    cutoff: float
    confidence_floor: float
    temperature: float = 1.0
    case: CaseRule | None = None
    neighbours: float | None = field(default=None, metadata=ABSENT)

    def __post_init__(self) -> None:
        if not 1e-6 <= self.temperature <= 1e6:  # so that no float32 logit overflows when divided
            raise ValueError(f"policy: found temperature {self.temperature}, expected more than 0 (1e-6..1e6).")
        for name in ("cutoff", "confidence_floor"):
            if not 0.0 <= getattr(self, name) <= 1.0:
                raise ValueError(f"policy: found {name} {getattr(self, name)}, expected 0..1.")
        if self.neighbours is not None and not 0.0 < self.neighbours <= 1.0:
            raise ValueError(f"policy: found neighbours {self.neighbours}, expected over 0 and at most 1, or none.")
