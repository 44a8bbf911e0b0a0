"""Scores and decisions on one part of a split, from the Keras model or from a model file on the device's runtime."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edge_runtime.bundle.spec import ModelSpec
from edge_runtime.decision.rule import decisions
from edge_runtime.decision.scores import positive_scores, scores_of
from edge_runtime.decision.verdict import Decision

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Scored:
    """True labels, scores and decisions of N images, aligned on the first axis. All metrics are computed from them.

    Attributes:
        labels: int64 N, index into the spec's labels.
        groups: N patient ids.
        scores: float64 N×L, 0..1, one score for each label.
        positive: the positive score, float64 N in 0..1.
        answered: bool N, whether the decision was POSITIVE or NEGATIVE.
    """

    labels: npt.NDArray[np.int64]
    groups: npt.NDArray[np.str_]
    scores: Floats
    positive: Floats
    answered: Bools

    @classmethod
    def of_logits(
        cls, logits: npt.ArrayLike, labels: npt.NDArray[np.int64], groups: npt.NDArray[np.str_], spec: ModelSpec
    ) -> Scored:
        """Return scores and decisions of logits (N×outputs, any float type) under the spec's policy."""
        answered = np.array([d is not Decision.REFER for d in decisions(logits, spec)], dtype=np.bool_)
        return cls(labels, groups, scores_of(logits, spec), positive_scores(logits, spec), answered)

    @property
    def confidence(self) -> Floats:
        """The largest score of any label, float64 N in 0..1."""
        return np.asarray(self.scores.max(axis=1))

    @property
    def predicted(self) -> npt.NDArray[np.int64]:
        """The label with the highest score, int64 N."""
        return np.asarray(self.scores.argmax(axis=1), dtype=np.int64)

    def take(self, rows: npt.NDArray[np.intp]) -> Scored:
        """Return the images of ``rows``, in that order."""
        return Scored(self.labels[rows], self.groups[rows], self.scores[rows], self.positive[rows], self.answered[rows])
