"""The rule for a case: from the decisions on one patient's images to one on the patient."""

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
    """Why a case's decision is what it is; *answered* means with the rule's confidence."""

    ENOUGH_POSITIVE = "ENOUGH_POSITIVE"  # the rule's count is reached
    TOO_FEW_POSITIVE = "TOO_FEW_POSITIVE"  # it is not, though enough were answered to reach it
    TOO_FEW_ANSWERED = "TOO_FEW_ANSWERED"  # fewer were answered than the count: whatever they show, it is not reached
    LOW_CONFIDENCE = "LOW_CONFIDENCE"  # none was answered


@dataclass(frozen=True)
class CaseVerdict:
    """What a rule makes of one patient's images.

    Attributes:
        images: how many there were.
        answered: those called POSITIVE or NEGATIVE with the rule's confidence or more.
        count: those of them called POSITIVE.
    """

    decision: Decision
    reason: CaseReason
    images: int
    answered: int
    count: int


def sure(found: Sequence[Decision], confidence: npt.ArrayLike, least: float) -> tuple[Bools, Bools]:
    """Tell which images a case rule counts.

    Args:
        found: N decisions; a referred image is never counted.
        confidence: N confidences, 0..1.
        least: the rule's confidence, 0..1.

    Returns:
        bool N: answered with ``least`` or more; bool N: those of them called POSITIVE.
    """
    reached = np.asarray(confidence, dtype=np.float64) >= least
    if reached.shape != (len(found),):
        raise ValueError(f"{len(found)} decisions, confidences of shape {reached.shape}: expected as many.")
    positive = np.array([decision is Decision.POSITIVE for decision in found], dtype=np.bool_)
    negative = np.array([decision is Decision.NEGATIVE for decision in found], dtype=np.bool_)
    return reached & (positive | negative), reached & positive


def decide_case(found: Sequence[Decision], confidence: npt.ArrayLike, rule: CaseRule) -> CaseVerdict:
    """Apply a rule to one patient's N images.

    A patient of whom too few images were answered to reach the count, whatever they show, is referred: a
    NEGATIVE would say nothing about them.

    Args:
        found: each image's decision.
        confidence: each image's confidence, 0..1.
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
