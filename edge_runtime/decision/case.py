"""The case rule: combine the decisions on one patient's images into one decision on the patient."""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edge_runtime.bundle.policy import CaseRule
from edge_runtime.decision.verdict import Decision

Bools = npt.NDArray[np.bool_]


class CaseReason(enum.Enum):
    """The reason for a case's decision.

    An image is *answered* if it is POSITIVE or NEGATIVE with at least the rule's confidence.
    """

    ENOUGH_POSITIVE = "ENOUGH_POSITIVE"  # the number of positive images reaches the rule's count
    TOO_FEW_POSITIVE = "TOO_FEW_POSITIVE"  # the number of positive images is below the count
    TOO_FEW_ANSWERED = "TOO_FEW_ANSWERED"  # fewer images were answered than the count, so it cannot be reached
    LOW_CONFIDENCE = "LOW_CONFIDENCE"  # no image was answered


@dataclass(frozen=True)
class CaseVerdict:
    """The decision on one patient, with its reason and the numbers of images.

    Attributes:
        images: number of all images.
        answered: number of images that are POSITIVE or NEGATIVE with at least the rule's confidence.
        count: number of answered images that are POSITIVE.
    """

    decision: Decision
    reason: CaseReason
    images: int
    answered: int
    count: int


def sure(found: Sequence[Decision], confidence: npt.ArrayLike, least: float) -> tuple[Bools, Bools]:
    """Return masks of the images that a case rule counts.

    Args:
        found: N decisions; a referred image is never counted.
        confidence: N confidences, 0..1.
        least: the rule's minimum confidence, 0..1.

    Returns:
        Two bool arrays of shape (N,): images answered with at least ``least``, and those of them that are POSITIVE.

    Raises:
        ValueError: the numbers of decisions and confidences differ.
    """
    reached = np.asarray(confidence, dtype=np.float64) >= least
    if reached.shape != (len(found),):
        raise ValueError(
            f"found {len(found)} decisions and confidences of shape {reached.shape}, expected one confidence each."
        )
    positive = np.array([decision is Decision.POSITIVE for decision in found], dtype=np.bool_)
    negative = np.array([decision is Decision.NEGATIVE for decision in found], dtype=np.bool_)
    return reached & (positive | negative), reached & positive


def decide_case(found: Sequence[Decision], confidence: npt.ArrayLike, rule: CaseRule) -> CaseVerdict:
    """Apply a case rule to one patient's N images.

    If fewer images were answered than the rule's count, the patient is referred: the count could not be reached,
    so NEGATIVE would carry no information.

    Args:
        found: decision on each image.
        confidence: confidence of each image, 0..1.
        rule: the case rule of the model's policy.

    Returns:
        The decision on the patient, with its reason.
    """
    answered, positive = (int(mask.sum()) for mask in sure(found, confidence, rule.confidence))
    decision, reason = _decide(answered, positive, rule)
    return CaseVerdict(decision, reason, len(found), answered, positive)


def _decide(answered: int, positive: int, rule: CaseRule) -> tuple[Decision, CaseReason]:
    if answered == 0:
        return Decision.REFER, CaseReason.LOW_CONFIDENCE
    if positive >= rule.count:
        return Decision.POSITIVE, CaseReason.ENOUGH_POSITIVE
    if answered < rule.count:
        return Decision.REFER, CaseReason.TOO_FEW_ANSWERED
    return Decision.NEGATIVE, CaseReason.TOO_FEW_POSITIVE
