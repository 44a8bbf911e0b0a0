"""Logits to decision: temperature, head, positive score, cut-off, confidence floor, guard band; pictures to a case.

Everything here is float64 arithmetic on a handful of numbers, so that a confidence of .9999 exists
whatever the network's own precision is.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edge_runtime.errors import BackendError
from edge_runtime.spec import CaseRule, DecisionPolicy, Head, ModelSpec

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

BEYOND = 0.01
"""How far outside 0..1 a probability may lie: int8 rounds by half a step of 1/256, a converter's ranges by another."""


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
    UNFAMILIAR_INPUT = "UNFAMILIAR_INPUT"  # the picture is not like those that the model was made for; always REFER


class CaseReason(enum.Enum):
    """Why a case's decision is what it is; *answered* means with the rule's confidence."""

    ENOUGH_POSITIVE = "ENOUGH_POSITIVE"  # the rule's count is reached
    TOO_FEW_POSITIVE = "TOO_FEW_POSITIVE"  # it is not, though enough were answered to reach it
    TOO_FEW_ANSWERED = (
        "TOO_FEW_ANSWERED"  # fewer were answered than the count, which they could not reach whatever they show
    )
    LOW_CONFIDENCE = "LOW_CONFIDENCE"  # none was answered


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


@dataclass(frozen=True)
class CaseVerdict:
    """What a rule makes of one patient's pictures.

    Attributes:
        pictures: how many there were.
        answered: those called POSITIVE or NEGATIVE with the rule's confidence or more.
        count: those of them called POSITIVE.
    """

    decision: Decision
    reason: CaseReason
    pictures: int
    answered: int
    count: int


def scores_of(logits: npt.ArrayLike, spec: ModelSpec) -> Floats:
    """Return the scores of each label, from logits divided by the policy's temperature.

    Args:
        logits: N×outputs as the network gives them, any float type.

    Returns:
        float64 N×labels, each 0..1.

    Raises:
        BackendError: head probabilities, and an output is none.
    """
    if spec.head is Head.PROBABILITIES:
        return _probabilities(logits)
    z = _divided(logits, spec)
    if spec.head is Head.SOFTMAX:
        exp: Floats = np.exp(z - z.max(axis=1, keepdims=True))
        return np.asarray(exp / exp.sum(axis=1, keepdims=True))
    if spec.head is Head.SIGMOID:
        return np.concatenate([_sigmoid(-z), _sigmoid(z)], axis=1)
    return _sigmoid(z)


def positive_scores(logits: npt.ArrayLike, spec: ModelSpec) -> Floats:
    """Return the positive score of each picture, float64 N in 0..1.

    For softmax, sigmoid and probabilities it is the sum of the positive labels' scores. Independent sigmoids need not
    sum to one; there it is the share of the strongest positive label among it and the strongest other
    label, so that a cut-off of .5 is argmax.

    Args:
        logits: N×outputs as the network gives them, any float type.
    """
    positive = np.array([label in spec.positive for label in spec.labels])
    if spec.head is not Head.INDEPENDENT_SIGMOIDS:
        # rounding may lift the sum of several labels a few units in the last place over 1
        return np.asarray(np.minimum(scores_of(logits, spec)[:, positive].sum(axis=1), 1.0))
    # a/(a+b) in the logarithm: both sigmoids may underflow, their ratio does not
    log_score = -np.logaddexp(0.0, -_divided(logits, spec))
    return _sigmoid(log_score[:, positive].max(axis=1) - log_score[:, ~positive].max(axis=1))


def margins(logits: npt.ArrayLike, spec: ModelSpec) -> Floats:
    """Return each picture's distance to the nearest threshold that could change its decision, float64 N.

    Below the confidence floor only the floor matters: both sides of the cut-off are referred there.
    """
    score = positive_scores(logits, spec)
    confidence = scores_of(logits, spec).max(axis=1)
    to_floor = np.abs(confidence - spec.policy.confidence_floor)
    to_cutoff = np.abs(score - spec.policy.cutoff)
    return np.asarray(np.where(confidence < spec.policy.confidence_floor, to_floor, np.minimum(to_floor, to_cutoff)))


def decisions(logits: npt.ArrayLike, spec: ModelSpec) -> list[Decision]:
    """Return the decision for each row of logits."""
    score = positive_scores(logits, spec)
    confidence = scores_of(logits, spec).max(axis=1)
    return [decide_by(float(s), float(c), spec.policy)[0] for s, c in zip(score, confidence, strict=True)]


def decide(logits: npt.ArrayLike, spec: ModelSpec, *, rerun: bool = False) -> Verdict:
    """Apply the spec's policy to one picture's logits (outputs,).

    Args:
        rerun: the logits come from the float32 file because int8 fell into the guard band.
    """
    row = np.asarray(logits, dtype=np.float64)[np.newaxis]
    scores = scores_of(row, spec)[0]
    score = float(positive_scores(row, spec)[0])
    confidence = float(scores.max())
    decision, reason = decide_by(score, confidence, spec.policy)
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


def sure(found: Sequence[Decision], confidence: npt.ArrayLike, least: float) -> tuple[Bools, Bools]:
    """Tell which pictures a case rule counts.

    Args:
        found: N decisions; a referred picture is never counted.
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
    """Apply a rule to one patient's N pictures.

    A patient of whom too few pictures were answered to reach the count, whatever they show, is referred: a
    NEGATIVE would say nothing about them.

    Args:
        found: each picture's decision.
        confidence: each picture's confidence, 0..1.
    """
    answered, positive = (int(mask.sum()) for mask in sure(found, confidence, rule.confidence))
    decision, reason = _decide_case(answered, positive, rule)
    return CaseVerdict(decision, reason, len(found), answered, positive)


def _decide_case(answered: int, positive: int, rule: CaseRule) -> tuple[Decision, CaseReason]:
    if answered == 0:
        return Decision.REFER, CaseReason.LOW_CONFIDENCE
    if positive >= rule.count:
        return Decision.POSITIVE, CaseReason.ENOUGH_POSITIVE
    if answered < rule.count:
        return Decision.REFER, CaseReason.TOO_FEW_ANSWERED
    return Decision.NEGATIVE, CaseReason.TOO_FEW_POSITIVE


def decide_by(score: float, confidence: float, policy: DecisionPolicy) -> tuple[Decision, Reason]:
    """Apply cut-off and floor to one picture's positive score and confidence, both 0..1."""
    if confidence < policy.confidence_floor:
        return Decision.REFER, Reason.LOW_CONFIDENCE
    if score >= policy.cutoff:
        return Decision.POSITIVE, Reason.ABOVE_CUTOFF
    return Decision.NEGATIVE, Reason.BELOW_CUTOFF


def _divided(logits: npt.ArrayLike, spec: ModelSpec) -> Floats:
    """Return logits over temperature (Guo et al. 2017, On Calibration of Modern Neural Networks, ICML), float64."""
    return np.asarray(np.asarray(logits, dtype=np.float64) / spec.policy.temperature)


def _probabilities(outputs: npt.ArrayLike) -> Floats:
    """Pass on what is 0..1, and clip what rounding put beyond it."""
    p = np.asarray(outputs, dtype=np.float64)
    if not ((p >= -BEYOND) & (p <= 1 + BEYOND)).all():
        raise BackendError(
            f"the network answered {p.min():.4g}..{p.max():.4g}, expected probabilities of 0..1. Export the model "
            "again with the head that its outputs are made for."
        )
    return np.asarray(np.clip(p, 0.0, 1.0))


def _sigmoid(z: Floats) -> Floats:
    """Return 1/(1+e^-z) without overflow on either side."""
    return np.asarray(np.exp(-np.logaddexp(0.0, -z)))
