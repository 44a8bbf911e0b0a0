"""The decision on one image, with its scores and reason."""

from __future__ import annotations

import enum
from dataclasses import dataclass


class Decision(enum.Enum):
    """The decision. REFER means that a person should read the image."""

    POSITIVE = "POSITIVE"
    NEGATIVE = "NEGATIVE"
    REFER = "REFER"


class Reason(enum.Enum):
    """The reason for a decision."""

    ABOVE_CUTOFF = "ABOVE_CUTOFF"  # the positive score is at or above the cut-off
    BELOW_CUTOFF = "BELOW_CUTOFF"  # the positive score is below the cut-off
    LOW_CONFIDENCE = "LOW_CONFIDENCE"  # no label's score reaches the confidence floor; always REFER
    PRECISION_RERUN = "PRECISION_RERUN"  # the int8 scores were near a threshold; the float32 file decided
    UNFAMILIAR_INPUT = "UNFAMILIAR_INPUT"  # the image is out-of-distribution; always REFER


@dataclass(frozen=True)
class Verdict:
    """The decision on one image, with the scores behind it.

    Attributes:
        label: the label with the highest score: among the positive labels if POSITIVE, among the others if NEGATIVE,
            among all if REFER.
        scores: score of each label, 0..1, in the spec's order.
        score: the positive score, 0..1.
        confidence: the largest score of any label, 0..1.
    """

    label: str
    scores: dict[str, float]
    score: float
    confidence: float
    decision: Decision
    reason: Reason
