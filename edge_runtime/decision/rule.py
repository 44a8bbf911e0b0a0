"""The decision rule: compute a decision from scores, and find images that need the float32 file.

:func:`decide` is the rule. :func:`decisions` and :func:`near_threshold` apply it to the logits of many images, with
arrays. :class:`DecisionRule` applies it to one image without arrays, which saves time with small networks. Tests check
that both give the same bits for every head.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from edge_runtime.bundle.policy import DecisionPolicy, Head
from edge_runtime.bundle.spec import ModelSpec
from edge_runtime.decision.scores import divided, positive_scores, scores_of
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
        policy: the thresholds.
        familiar: whether the image passed the out-of-distribution check.
        rerun: whether the scores come from the float32 file, because the int8 scores were near a threshold.

    Returns:
        The decision and its reason.
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
    """Return the decisions on N images from their logits N×outputs, without the out-of-distribution check."""
    score, confidence = _scores_and_confidences(logits, spec)
    return [decide(s, c, spec.policy)[0] for s, c in zip(score.tolist(), confidence.tolist(), strict=True)]


def near_threshold(logits: npt.ArrayLike, spec: ModelSpec, guard_band: float) -> Bools:
    """Return whether each of N images is so near a threshold that the float32 file decides it.

    Args:
        logits: N×outputs, from an int8 file.
        spec: the model's spec.
        guard_band: largest distance from a threshold, in score units (0..1); 0 turns the rerun off.

    Returns:
        bool array of shape (N,).
    """
    distances = margins(logits, spec)
    return distances <= guard_band if guard_band > 0 else np.zeros(len(distances), np.bool_)


def margins(logits: npt.ArrayLike, spec: ModelSpec) -> Floats:
    """Return each image's distance to the nearest threshold that could change its decision, float64 (N,), 0..1.

    Below the confidence floor, only the distance to the floor counts: the decision is REFER on both sides of the
    cut-off.
    """
    score, confidence = _scores_and_confidences(logits, spec)
    to_floor = np.abs(confidence - spec.policy.confidence_floor)
    to_cutoff = np.abs(score - spec.policy.cutoff)
    return np.asarray(np.where(confidence < spec.policy.confidence_floor, to_floor, np.minimum(to_floor, to_cutoff)))


def _scores_and_confidences(logits: npt.ArrayLike, spec: ModelSpec) -> tuple[Floats, Floats]:
    """Return the positive scores and the confidences, each float64 (N,): the values compared with thresholds."""
    return positive_scores(logits, spec), np.asarray(scores_of(logits, spec).max(axis=1))


_ZERO = np.zeros(())
"""Zero as an array, which NumPy need not convert."""


class DecisionRule:
    """A spec's policy, prepared to decide one image at a time. Thread-safe.

    Exponentials use the same NumPy functions on the same operands as :mod:`edge_runtime.decision.scores`, so the bits
    are equal. All other arithmetic uses Python floats.
    """

    def __init__(self, spec: ModelSpec) -> None:
        """Choose the function of the scores, and split the labels of ``spec`` into positive and negative ones."""
        self._spec, self._policy = spec, spec.policy
        indices = range(len(spec.labels))
        self._temperature = spec.policy.temperature
        self._scores = _SCORES[spec.head]
        self._positive = tuple(i for i in indices if spec.labels[i] in spec.positive)
        self._negative = tuple(i for i in indices if spec.labels[i] not in spec.positive)
        self._side = {
            Decision.POSITIVE: self._positive,
            Decision.NEGATIVE: self._negative,
            Decision.REFER: tuple(indices),
        }

    def verdict(self, logits: npt.NDArray[np.float32], *, familiar: bool = True, rerun: bool = False) -> Verdict:
        """Return the verdict on one image.

        Args:
            logits: float32 (outputs,).
            familiar: see :func:`decide`.
            rerun: see :func:`decide`.
        """
        scores, score = self._scores(self, logits)
        confidence, labels = max(scores), self._spec.labels
        decision, reason = decide(score, confidence, self._policy, familiar=familiar, rerun=rerun)
        return Verdict(
            label=labels[max(self._side[decision], key=scores.__getitem__)],
            scores=dict(zip(labels, scores, strict=True)),
            score=score,
            confidence=confidence,
            decision=decision,
            reason=reason,
        )

    def near_threshold(self, verdict: Verdict, guard_band: float) -> bool:
        """Return whether the float32 file decides this image; see :func:`near_threshold`."""
        if guard_band <= 0:
            return False
        beyond = verdict.confidence - self._policy.confidence_floor  # below 0, only the floor can change the decision
        return abs(beyond) <= guard_band or (beyond >= 0 and abs(verdict.score - self._policy.cutoff) <= guard_band)

    def _of_one_logit(self, logits: npt.NDArray[np.float32]) -> tuple[list[float], float]:
        z = logits.item() / self._temperature
        scores: list[float] = np.exp(-np.logaddexp(_ZERO, np.array((z, -z)))).tolist()
        return scores, min(scores[1], 1.0)

    def _of_softmax(self, logits: npt.NDArray[np.float32]) -> tuple[list[float], float]:
        z = divided(logits, self._spec)
        z -= z.max()
        np.exp(z, out=z)
        z /= z.sum()
        scores: list[float] = z.tolist()
        if len(self._positive) == 1:
            return scores, min(scores[self._positive[0]], 1.0)
        return scores, min(float(z[np.newaxis, self._positive].sum(axis=1)[0]), 1.0)

    def _of_sigmoids(self, logits: npt.NDArray[np.float32]) -> tuple[list[float], float]:
        z = divided(logits, self._spec)
        logs: Floats = -np.logaddexp(0.0, -z)
        log_scores = logs.tolist()
        lead = max(log_scores[i] for i in self._positive) - max(log_scores[i] for i in self._negative)
        return np.exp(logs).tolist(), float(np.exp(-np.logaddexp(0.0, -lead)))

    def _of_probabilities(self, logits: npt.NDArray[np.float32]) -> tuple[list[float], float]:
        row = logits[np.newaxis]
        return scores_of(row, self._spec)[0].tolist(), float(positive_scores(row, self._spec)[0])


_SCORES = {
    Head.SIGMOID: DecisionRule._of_one_logit,
    Head.SOFTMAX: DecisionRule._of_softmax,
    Head.INDEPENDENT_SIGMOIDS: DecisionRule._of_sigmoids,
    Head.PROBABILITIES: DecisionRule._of_probabilities,
}
"""Head → the score of each label and the positive score, each 0..1, from the logits of one image."""
