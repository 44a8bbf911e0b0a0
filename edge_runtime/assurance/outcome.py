"""From the answers on a case's images to the outcome of the case."""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass

from edge_runtime.assurance.cases import Case
from edge_runtime.assurance.protocol import Claims, Counting
from edge_runtime.bundle.policy import DecisionPolicy
from edge_runtime.decision.case import decide_case
from edge_runtime.decision.verdict import Decision


class Found(enum.Enum):
    """What the model says of a case."""

    POSITIVE = "POSITIVE"
    NEGATIVE = "NEGATIVE"
    REFER = "REFER"
    FAILED = "FAILED"  # an image was rejected, and no other decides the case


@dataclass(frozen=True)
class ImageAnswer:
    """The answer on one image.

    Attributes:
        decision: the decision; None if the image was rejected.
        reason: reason of the decision, or code of the error.
        confidence: 0..1; 0 if the image was rejected.
        score: positive score, 0..1; None if the image was rejected.
        scores: score of each label, 0..1, in the order of the spec; empty if the image was rejected.
    """

    decision: Decision | None
    reason: str
    confidence: float = 0.0
    score: float | None = None
    scores: tuple[float, ...] = ()


@dataclass(frozen=True)
class Outcome:
    """A case and what was found.

    Attributes:
        right: whether the case counts as right under the protocol.
    """

    case: Case
    found: Found
    right: bool


def outcome_of(case: Case, answers: Sequence[ImageAnswer], policy: DecisionPolicy, claims: Claims) -> Outcome:
    """Combine the answers on the images of a case, and count the case as the protocol states.

    Args:
        case: the case.
        answers: one for each of its images, in their order.
        policy: of the model; its case rule combines several images, if it has one.
        claims: how referred and failed cases are counted.
    """
    found = _found(answers, policy)
    return Outcome(case, found, _counted(found, claims) is case.positive)


def _found(answers: Sequence[ImageAnswer], policy: DecisionPolicy) -> Found:
    decided = [answer for answer in answers if answer.decision is not None]
    decisions = [answer.decision for answer in decided if answer.decision is not None]
    failed = len(decided) < len(answers)
    if policy.case is not None:
        verdict = decide_case(decisions, [answer.confidence for answer in decided], policy.case).decision
    else:
        order = (Decision.POSITIVE, Decision.REFER, Decision.NEGATIVE)
        verdict = next((decision for decision in order if decision in decisions), Decision.REFER)
    return Found.FAILED if failed and verdict is not Decision.POSITIVE else Found(verdict.value)


def _counted(found: Found, claims: Claims) -> bool | None:
    """Return whether a case counts as called positive; None if it counts as wrong, whatever is true of it."""
    if found in (Found.POSITIVE, Found.NEGATIVE):
        return found is Found.POSITIVE
    counting = claims.referred if found is Found.REFER else claims.failed
    return True if counting is Counting.POSITIVE else None
