"""The one decision rule: from scores, familiarity and rerun to a decision, and when the float32 file decides.

:func:`decide` is the rule. Logits of many images are decided with :func:`decisions` and :func:`near_threshold`, in
arrays. :class:`DecisionRule` decides one image at a time without arrays, which a small network would notice; tests hold
both to the same bits for every head.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from edge_runtime.bundle.policy import DecisionPolicy, Head
from edge_runtime.bundle.spec import ModelSpec
from edge_runtime.decision.scores import positive_scores, scores_of
from edge_runtime.decision.verdict import Decision, Reason, Verdict

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]


def decide(
    score: float, confidence: float, policy: DecisionPolicy, *, familiar: bool = True, rerun: bool = False
) -> tuple[Decision, Reason]:
    """Decide one image.

    Args:
        score: the positive score, 0..1.
        confidence: the largest score of any label, 0..1.
        familiar: whether the image is like those that the model was made for.
        rerun: the scores come from the float32 file, because those of int8 were near a threshold.
    """
    if not familiar:
        return Decision.REFER, Reason.UNFAMILIAR_INPUT
    if confidence < policy.confidence_floor:
        decision, reason = Decision.REFER, Reason.LOW_CONFIDENCE
    elif score >= policy.cutoff:
        decision, reason = Decision.POSITIVE, Reason.ABOVE_CUTOFF
    else:
        decision, reason = Decision.NEGATIVE, Reason.BELOW_CUTOFF
    return decision, Reason.PRECISION_RERUN if rerun else reason


def decisions(logits: npt.ArrayLike, spec: ModelSpec) -> list[Decision]:
    """Return the decision on each of N familiar images, from their logits N×outputs."""
    score, confidence = _judged(logits, spec)
    return [decide(s, c, spec.policy)[0] for s, c in zip(score.tolist(), confidence.tolist(), strict=True)]


def near_threshold(logits: npt.ArrayLike, spec: ModelSpec, guard_band: float) -> Bools:
    """Tell on which of N images the float32 file decides, bool N, from logits N×outputs of a rounded file.

    Args:
        guard_band: distance from a threshold, 0..1 in score; 0 where no other file decides.
    """
    found = margins(logits, spec)
    return found <= guard_band if guard_band > 0 else np.zeros(len(found), np.bool_)


def margins(logits: npt.ArrayLike, spec: ModelSpec) -> Floats:
    """Return each image's distance to the nearest threshold that could change its decision, float64 N.

    Below the confidence floor only the floor matters: both sides of the cut-off are referred there.
    """
    score, confidence = _judged(logits, spec)
    to_floor = np.abs(confidence - spec.policy.confidence_floor)
    to_cutoff = np.abs(score - spec.policy.cutoff)
    return np.asarray(np.where(confidence < spec.policy.confidence_floor, to_floor, np.minimum(to_floor, to_cutoff)))


def _judged(logits: npt.ArrayLike, spec: ModelSpec) -> tuple[Floats, Floats]:
    """Return what thresholds are compared with: positive scores and confidences."""
    return positive_scores(logits, spec), np.asarray(scores_of(logits, spec).max(axis=1))


class DecisionRule:
    """A spec's policy, made ready for one image at a time; may be shared by threads.

    Each exponential is the same NumPy function on the same operands as in :mod:`edge_runtime.decision.scores`, so that
    the bits are the same; everything around them is Python.
    """

    def __init__(self, spec: ModelSpec) -> None:
        """Sort the labels by side."""
        self._spec, self._policy = spec, spec.policy
        every = range(len(spec.labels))
        self._positive = tuple(i for i in every if spec.labels[i] in spec.positive)
        self._negative = tuple(i for i in every if spec.labels[i] not in spec.positive)
        self._side = {
            Decision.POSITIVE: self._positive,
            Decision.NEGATIVE: self._negative,
            Decision.REFER: tuple(every),
        }

    def verdict(self, logits: npt.NDArray[np.float32], *, familiar: bool = True, rerun: bool = False) -> Verdict:
        """Return the verdict on one image, from its logits (outputs,); ``familiar`` and ``rerun`` as :func:`decide`."""
        scores, score = self._scores(np.asarray(logits, dtype=np.float64))
        confidence = max(scores)
        decision, reason = decide(score, confidence, self._policy, familiar=familiar, rerun=rerun)
        return Verdict(
            label=self._spec.labels[max(self._side[decision], key=scores.__getitem__)],
            scores=dict(zip(self._spec.labels, scores, strict=True)),
            score=score,
            confidence=confidence,
            decision=decision,
            reason=reason,
        )

    def near_threshold(self, verdict: Verdict, guard_band: float) -> bool:
        """Tell whether the float32 file decides; see :func:`near_threshold`."""
        return guard_band > 0 and self.margin(verdict) <= guard_band

    def margin(self, verdict: Verdict) -> float:
        """Return :func:`margins` of one image."""
        to_floor = abs(verdict.confidence - self._policy.confidence_floor)
        if verdict.confidence < self._policy.confidence_floor:
            return to_floor
        return min(to_floor, abs(verdict.score - self._policy.cutoff))

    def _scores(self, logits: Floats) -> tuple[list[float], float]:
        """Return each label's score and the positive score."""
        if self._spec.head is Head.INDEPENDENT_SIGMOIDS:
            logs: Floats = -np.logaddexp(0.0, -self._divided(logits))
            each = logs.tolist()
            ahead = max(each[i] for i in self._positive) - max(each[i] for i in self._negative)
            return np.exp(logs).tolist(), float(np.exp(-np.logaddexp(0.0, -ahead)))
        if self._spec.head is Head.SIGMOID:
            z = self._divided(logits)
            found = np.exp(-np.logaddexp(0.0, np.concatenate([z, -z]))).tolist()
            return found, min(found[1], 1.0)
        row = logits[np.newaxis]
        return scores_of(row, self._spec)[0].tolist(), float(positive_scores(row, self._spec)[0])

    def _divided(self, logits: Floats) -> Floats:
        return logits if self._policy.temperature == 1.0 else logits / self._policy.temperature
