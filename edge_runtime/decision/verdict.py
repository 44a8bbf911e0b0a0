"""The decision on one image, with its scores and its reason."""

from __future__ import annotations

import enum
from dataclasses import dataclass


class Decision(enum.Enum):
    """The answer. REFER is an answer: a person should look."""

    POSITIVE = "POSITIVE"
    NEGATIVE = "NEGATIVE"
    REFER = "REFER"


class Reason(enum.Enum):
    """Why the decision is what it is."""

    ABOVE_CUTOFF = "ABOVE_CUTOFF"  # the positive score reaches the cut-off
    BELOW_CUTOFF = "BELOW_CUTOFF"  # it does not
    LOW_CONFIDENCE = "LOW_CONFIDENCE"  # no label's score reaches the confidence floor
    PRECISION_RERUN = "PRECISION_RERUN"  # int8 was too close to a threshold; the float32 file decided
    UNFAMILIAR_INPUT = "UNFAMILIAR_INPUT"  # the image is not like those that the model was made for; always REFER


@dataclass(frozen=True)
class Verdict:
    """What the policy makes of one image's logits.

    Attributes:
        label: the label with the highest score on the decided side; of all labels if referred.
        scores: label → 0..1, in the spec's order.
        score: the positive score, 0..1.
        confidence: the largest score of any label, 0..1.
    """

    label: str
    scores: dict[str, float]
    score: float
    confidence: float
    decision: Decision
    reason: Reason
