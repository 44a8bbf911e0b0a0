"""The verdict on one image by the book: the oracle of the rule; and the rule for numbers of any kind."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from edge_runtime.bundle.spec import ModelSpec
from edge_runtime.decision.rule import DecisionRule
from edge_runtime.decision.scores import positive_scores, scores_of
from edge_runtime.decision.verdict import Decision, Reason, Verdict


def plain_verdict(logits: npt.ArrayLike, spec: ModelSpec, *, familiar: bool = True, rerun: bool = False) -> Verdict:
    """Floor, then cut-off, then the label of the decided side; every exception after it."""
    row = np.asarray(logits, dtype=np.float64)[np.newaxis]
    scores, score = scores_of(row, spec)[0], float(positive_scores(row, spec)[0])
    confidence = float(scores.max())
    decision, reason, sides = Decision.NEGATIVE, Reason.BELOW_CUTOFF, (False,)
    if score >= spec.policy.cutoff:
        decision, reason, sides = Decision.POSITIVE, Reason.ABOVE_CUTOFF, (True,)
    if confidence < spec.policy.confidence_floor:
        decision, reason, sides = Decision.REFER, Reason.LOW_CONFIDENCE, (False, True)
    if rerun:
        reason = Reason.PRECISION_RERUN
    if not familiar:
        decision, reason, sides = Decision.REFER, Reason.UNFAMILIAR_INPUT, (False, True)
    best = max(scores[i] for i, label in enumerate(spec.labels) if (label in spec.positive) in sides)
    label = next(x for i, x in enumerate(spec.labels) if scores[i] == best and (x in spec.positive) in sides)
    return Verdict(label, dict(zip(spec.labels, scores.tolist(), strict=True)), score, confidence, decision, reason)


def ruled(logits: npt.ArrayLike, spec: ModelSpec, *, familiar: bool = True, rerun: bool = False) -> Verdict:
    """The package's own verdict, from numbers of any kind."""
    return DecisionRule(spec).verdict(np.asarray(logits, dtype=np.float64), familiar=familiar, rerun=rerun)  # type: ignore[arg-type]
