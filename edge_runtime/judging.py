"""One picture's verdict with what the spec fixes worked out once: the numbers of :func:`edge_runtime.decision.decide`.

``decide`` makes some thirty NumPy arrays of a handful of numbers for one picture; beside a small network that is felt.
Here each exponential is the same NumPy function on the same operands, so that the bits are the same, and everything
around them is Python. Tests hold the two against each other for every head.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from edge_runtime.decision import Decision, Reason, Verdict, decide_by, positive_scores, scores_of
from edge_runtime.spec import DecisionPolicy, Head, ModelSpec

Floats = npt.NDArray[np.float64]


class Judge:
    """A spec's policy, made ready for one picture at a time; may be shared by threads."""

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

    def verdict(self, logits: npt.NDArray[np.float32], *, rerun: bool = False) -> Verdict:
        """Return what :func:`edge_runtime.decision.decide` returns; logits are those of one picture (outputs,)."""
        scores, score = self._scores(np.asarray(logits, dtype=np.float64))
        confidence = max(scores)
        decision, reason = decide_by(score, confidence, self._policy)
        return Verdict(
            label=self._spec.labels[max(self._side[decision], key=scores.__getitem__)],
            scores=dict(zip(self._spec.labels, scores, strict=True)),
            score=score,
            confidence=confidence,
            decision=decision,
            reason=Reason.PRECISION_RERUN if rerun else reason,
        )

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


def refer_unfamiliar(verdict: Verdict) -> Verdict:
    """Return the verdict on a picture that is unlike the model's own: its scores stand, the decision is REFER."""
    label = max(verdict.scores, key=verdict.scores.__getitem__)
    return replace(verdict, label=label, decision=Decision.REFER, reason=Reason.UNFAMILIAR_INPUT)


def margin(verdict: Verdict, policy: DecisionPolicy) -> float:
    """Return :func:`edge_runtime.decision.margins` of one picture, from the verdict on it."""
    to_floor = abs(verdict.confidence - policy.confidence_floor)
    if verdict.confidence < policy.confidence_floor:
        return to_floor
    return min(to_floor, abs(verdict.score - policy.cutoff))
