"""All frames of a clip as one case."""

from __future__ import annotations

from collections.abc import Sequence

from edge_runtime.decision.verdict import Decision
from edge_runtime.inference.prediction import Prediction

_ORDER = (Decision.POSITIVE, Decision.REFER, Decision.NEGATIVE)


def most_serious(predictions: Sequence[Prediction]) -> Prediction:
    """Return the prediction that decides a case of several frames.

    A case is POSITIVE if one frame is, else REFER if one frame is, else NEGATIVE. Of the frames with that decision, the
    one with the highest score is returned, the first one of several.
    """
    return min(predictions, key=lambda each: (_ORDER.index(each.verdict.decision), -each.verdict.score))
