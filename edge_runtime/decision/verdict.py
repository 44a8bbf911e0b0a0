"""The decision on one image, with its scores and reason, and whether its cut-off was calibrated at the site."""

from __future__ import annotations

import enum

from edge_runtime.serialisation.frozen import dataclass


class Decision(enum.Enum):
    """The decision. REFER means that a person should read the image."""

    __hash__ = object.__hash__  # members are unique; Enum's own is a function in Python, called for every image
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


class Site(enum.Enum):
    """Whether the site that uses a model has calibrated it on labelled images of its own."""

    UNCALIBRATED = "uncalibrated"
    CALIBRATED = "calibrated"  # a site policy is in force


SITE_WITH_POLICY = {False: Site.UNCALIBRATED, True: Site.CALIBRATED}
"""The ``site`` of every prediction, by whether a site policy is in force; this is the only place that decides it.

A cut-off is chosen on images of the sites in a model's data. At another site, the same cut-off gives another
sensitivity and specificity (docs/research/other-sites.md). Only a site policy, which was fitted and validated on
labelled cases of the site, makes a prediction calibrated.
"""


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

    def __init__(
        self,
        label: str,
        scores: dict[str, float],
        score: float,
        confidence: float,
        decision: Decision,
        reason: Reason,
    ) -> None:
        self.__dict__.update(
            label=label, scores=scores, score=score, confidence=confidence, decision=decision, reason=reason
        )
