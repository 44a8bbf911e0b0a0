"""Logits to decision: head, positive score, cut-off, confidence floor, guard band.

Everything here is float64 arithmetic on a handful of numbers, so that a confidence of .9999 exists
whatever the network's own precision is.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edge_runtime.spec import DecisionPolicy, Head, ModelSpec

Floats = npt.NDArray[np.float64]


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


@dataclass(frozen=True)
class Verdict:
    """What the policy makes of one picture's logits.

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


def scores_of(logits: npt.ArrayLike, head: Head) -> Floats:
    """Return the scores of each label.

    Args:
        logits: N×outputs, any float type.

    Returns:
        float64 N×labels, each 0..1.
    """
    z = np.asarray(logits, dtype=np.float64)
    if head is Head.SOFTMAX:
        exp: Floats = np.exp(z - z.max(axis=1, keepdims=True))
        return np.asarray(exp / exp.sum(axis=1, keepdims=True))
    if head is Head.SIGMOID:
        return np.concatenate([_sigmoid(-z), _sigmoid(z)], axis=1)
    return _sigmoid(z)


def positive_scores(logits: npt.ArrayLike, spec: ModelSpec) -> Floats:
    """Return the positive score of each picture, float64 N in 0..1.

    For softmax and sigmoid it is the sum of the positive labels' scores. Independent sigmoids need not
    sum to one; there it is the share of the strongest positive label among it and the strongest other
    label, so that a cut-off of .5 is argmax.
    """
    z = np.asarray(logits, dtype=np.float64)
    positive = np.array([label in spec.positive for label in spec.labels])
    if spec.head is not Head.INDEPENDENT_SIGMOIDS:
        # rounding may lift the sum of several labels a few units in the last place over 1
        return np.asarray(np.minimum(scores_of(z, spec.head)[:, positive].sum(axis=1), 1.0))
    # a/(a+b) in the logarithm: both sigmoids may underflow, their ratio does not
    log_score = -np.logaddexp(0.0, -z)
    return _sigmoid(log_score[:, positive].max(axis=1) - log_score[:, ~positive].max(axis=1))


def margins(logits: npt.ArrayLike, spec: ModelSpec) -> Floats:
    """Return each picture's distance to the nearest threshold that could change its decision, float64 N.

    Below the confidence floor only the floor matters: both sides of the cut-off are referred there.
    """
    score = positive_scores(logits, spec)
    confidence = scores_of(logits, spec.head).max(axis=1)
    to_floor = np.abs(confidence - spec.policy.confidence_floor)
    to_cutoff = np.abs(score - spec.policy.cutoff)
    return np.asarray(np.where(confidence < spec.policy.confidence_floor, to_floor, np.minimum(to_floor, to_cutoff)))


def decisions(logits: npt.ArrayLike, spec: ModelSpec) -> list[Decision]:
    """Return the decision for each row of logits."""
    score = positive_scores(logits, spec)
    confidence = scores_of(logits, spec.head).max(axis=1)
    return [_decide(float(s), float(c), spec.policy)[0] for s, c in zip(score, confidence, strict=True)]


def decide(logits: npt.ArrayLike, spec: ModelSpec, *, rerun: bool = False) -> Verdict:
    """Apply the spec's policy to one picture's logits (outputs,).

    Args:
        rerun: the logits come from the float32 file because int8 fell into the guard band.
    """
    row = np.asarray(logits, dtype=np.float64)[np.newaxis]
    scores = scores_of(row, spec.head)[0]
    score = float(positive_scores(row, spec)[0])
    confidence = float(scores.max())
    decision, reason = _decide(score, confidence, spec.policy)
    wanted = {Decision.POSITIVE: (True,), Decision.NEGATIVE: (False,), Decision.REFER: (True, False)}[decision]
    side = [i for i, label in enumerate(spec.labels) if (label in spec.positive) in wanted]
    return Verdict(
        label=spec.labels[max(side, key=lambda i: scores[i])],
        scores={label: float(p) for label, p in zip(spec.labels, scores, strict=True)},
        score=score,
        confidence=confidence,
        decision=decision,
        reason=Reason.PRECISION_RERUN if rerun else reason,
    )


def _decide(score: float, confidence: float, policy: DecisionPolicy) -> tuple[Decision, Reason]:
    if confidence < policy.confidence_floor:
        return Decision.REFER, Reason.LOW_CONFIDENCE
    if score >= policy.cutoff:
        return Decision.POSITIVE, Reason.ABOVE_CUTOFF
    return Decision.NEGATIVE, Reason.BELOW_CUTOFF


def _sigmoid(z: Floats) -> Floats:
    """Return 1/(1+e^-z) without overflow on either side."""
    return np.asarray(np.exp(-np.logaddexp(0.0, -z)))
