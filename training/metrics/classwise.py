"""Predictions of a network on one part of a split, and its metrics for each class.

Each label is compared with all others; the prediction is the label with the highest score. Then the labels are
merged into two sides, negative and positive, by the cut-off of the decision policy. Intervals are by bootstrap over
patients (:func:`training.metrics.evaluation.bootstrap`). An interval of zero width means few images, not
certainty; therefore the support is given.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt
from sklearn.metrics import roc_curve

from edge_runtime.bundle.manifest import Figure
from edge_runtime.bundle.policy import DecisionPolicy
from edge_runtime.bundle.spec import ModelSpec
from edge_runtime.decision.rule import decisions
from edge_runtime.decision.scores import positive_scores, scores_of
from edge_runtime.decision.verdict import Decision
from training.metrics.binary import positive_truth, rates
from training.metrics.confidence import expected_calibration_error
from training.metrics.evaluation import bootstrap

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
Rows = npt.NDArray[np.intp]

METRICS = ("accuracy", "precision", "recall", "f1")
SPECIFICITY = 0.90
"""The specificity at which the sensitivities of different systems are compared."""


@dataclass(frozen=True, eq=False)
class ClassOutcomes:
    """True labels and logits of N images, aligned on the first axis.

    Attributes:
        labels: int64 N, index into the spec's labels.
        logits: float64 N×outputs, as the network returns them; scores are computed from them and the spec's policy.
        groups: N patient ids.
    """

    labels: npt.NDArray[np.int64]
    logits: Floats
    groups: npt.NDArray[np.str_]
    spec: ModelSpec

    def __post_init__(self) -> None:
        count, names = len(self.labels), self.spec.labels
        found, expected = (self.logits.shape, self.groups.shape), ((count, self.spec.outputs), (count,))
        if count == 0 or found != expected:
            raise ValueError(
                f"outcome of {count} labels: found shapes {found} of logits and groups, expected {expected}."
            )
        if self.labels.min() < 0 or self.labels.max() >= len(names):
            raise ValueError(f"outcome: expected labels in 0..{len(names) - 1}, found {np.unique(self.labels)}.")

    @classmethod
    def of(
        cls, logits: npt.ArrayLike, labels: npt.NDArray[np.int64], groups: npt.NDArray[np.str_], spec: ModelSpec
    ) -> ClassOutcomes:
        """Return the outcome of logits (N×outputs, as the network returns them, any float type)."""
        return cls(labels, np.asarray(logits, dtype=np.float64), groups, spec)

    def under(self, policy: DecisionPolicy) -> ClassOutcomes:
        """Return the same logits and labels with another decision policy."""
        return replace(self, spec=replace(self.spec, policy=policy))

    @cached_property
    def scores(self) -> Floats:
        """The score of each label, float64 N×L in 0..1."""
        return scores_of(self.logits, self.spec)

    @property
    def truth(self) -> Bools:
        """Whether the true label of each image is positive, bool N."""
        return positive_truth(self.labels, self.spec)

    @cached_property
    def positive(self) -> Floats:
        """The positive score, float64 N in 0..1."""
        return positive_scores(self.logits, self.spec)

    @property
    def called(self) -> Bools:
        """Whether the positive score reaches the cut-off, bool N."""
        return np.asarray(self.positive >= self.spec.policy.cutoff)

    @property
    def decisions(self) -> list[Decision]:
        """The decision on each image, by the same rule as on the device."""
        return decisions(self.logits, self.spec)

    @property
    def predicted(self) -> npt.NDArray[np.int64]:
        """The label with the highest score, int64 N."""
        return np.asarray(self.scores.argmax(axis=1), dtype=np.int64)

    @property
    def confidence(self) -> Floats:
        """The largest score of any label, float64 N in 0..1."""
        return np.asarray(self.scores.max(axis=1))


@dataclass(frozen=True)
class ClassFigures:
    """Metrics of one class against all others.

    Attributes:
        support: number of images of the class.
        figures: the metrics of :data:`METRICS` that are defined.
    """

    label: str
    support: int
    figures: tuple[Figure, ...]


@dataclass(frozen=True)
class Classwise:
    """Metrics of an outcome that :class:`edge_runtime.bundle.manifest.Evaluation` does not contain.

    Attributes:
        labels: each label against the rest, by the highest score.
        sides: the negative labels together, then the positive labels together, by the cut-off.
        figures: sensitivity at :data:`SPECIFICITY`, and the calibration error of the highest score. The latter has
            no interval, because the bootstrap would increase its upward bias.
    """

    labels: tuple[ClassFigures, ...]
    sides: tuple[ClassFigures, ClassFigures]
    figures: tuple[Figure, ...]


def evaluate_classes(outcome: ClassOutcomes) -> Classwise:
    """Return the metrics of each label and of both sides."""
    spec, predicted = outcome.spec, outcome.predicted
    labels = [
        _one_vs_rest(name, outcome.labels == i, predicted == i, outcome.groups) for i, name in enumerate(spec.labels)
    ]
    negative, positive = side_names(spec)
    sides = (
        _one_vs_rest(negative, ~outcome.truth, ~outcome.called, outcome.groups),
        _one_vs_rest(positive, outcome.truth, outcome.called, outcome.groups),
    )
    error = expected_calibration_error(outcome.confidence, predicted == outcome.labels)
    figures = (*_sensitivity(outcome), Figure("expected calibration error", round(error, 4)))
    return Classwise(tuple(labels), sides, figures)


def side_names(spec: ModelSpec) -> tuple[str, str]:
    """Return the names of the negative and the positive side; a side of one label has that label's name."""
    negative = [label for label in spec.labels if label not in spec.positive]
    return negative[0] if len(negative) == 1 else "negative", spec.positive[0] if len(
        spec.positive
    ) == 1 else "positive"


def sensitivity_at(truth: Bools, score: Floats, specificity: float) -> float:
    """Return the largest sensitivity of all cut-offs with at least that specificity; nan if a class is missing."""
    if truth.all() or not truth.any():
        return float("nan")
    false_alarms, sensitivity, _ = roc_curve(truth, score, drop_intermediate=False)
    return float(sensitivity[false_alarms <= 1 - specificity + 1e-9].max())


def _sensitivity(outcome: ClassOutcomes) -> list[Figure]:
    """Return the sensitivity at :data:`SPECIFICITY`.

    The cut-off is chosen again in each draw. The interval is that of the point on the curve, not of one cut-off.
    """
    truth, score = outcome.truth, outcome.positive

    def measure(rows: Rows) -> dict[str, float]:
        return {f"sensitivity at specificity {SPECIFICITY:g}": sensitivity_at(truth[rows], score[rows], SPECIFICITY)}

    return bootstrap(measure, outcome.groups)


def _one_vs_rest(label: str, truth: Bools, called: Bools, groups: npt.NDArray[np.str_]) -> ClassFigures:
    def measure(rows: Rows) -> dict[str, float]:
        found = rates(truth[rows], called[rows])
        return {name: found[name] for name in METRICS}

    return ClassFigures(label, int(truth.sum()), tuple(bootstrap(measure, groups)))
