"""Metrics on held-out patients, each with a 95 % interval by bootstrap over patients.

Whole patients are drawn with replacement, so that the interval holds for new patients, not for new
patches of the same patients (cluster bootstrap, Field & Welsh 2007, JRSS-B 69:369).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np
import numpy.typing as npt
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import confusion_matrix
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from edge_runtime.bundle.manifest import KERAS
from edge_runtime.bundle.metrics import Calibration, Evaluation, Figure, ReliabilityBin
from edge_runtime.bundle.spec import ModelSpec
from edge_runtime.decision.scores import positive_scores
from training.data.tensors import Tensors
from training.metrics.binary import auroc, positive_truth, rates, ratio
from training.metrics.confidence import expected_calibration_error, reliability
from training.metrics.scored import Scored

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

RESAMPLES = 2000
CONFIDENCES = (0.80, 0.95, 0.99, 0.999, 0.9999)
"""The confidences at which system 4 publishes its coverage table."""

BASELINE_CUTOFF = 0.5
GAIN = "balanced accuracy over baseline"
CALIBRATION = "expected calibration error"


def evaluate_scores(logits: npt.ArrayLike, tensors: Tensors, spec: ModelSpec, part: str) -> Evaluation:
    """Measure a network from its logits (N×outputs), images in the order of ``tensors``."""
    return evaluate_scored(Scored.of_logits(logits, tensors.labels, tensors.groups, spec), spec, part, KERAS)


def evaluate_scored(found: Scored, spec: ModelSpec, part: str, subject: str) -> Evaluation:
    """Measure a network from its scores and answers.

    Args:
        subject: who answered, as an :class:`~edge_runtime.bundle.metrics.Evaluation` calls it.
    """
    truth = positive_truth(found.labels, spec)
    called, predicted = found.positive >= spec.policy.cutoff, found.predicted
    figures = [
        *_figures(truth, found.positive, spec.policy.cutoff, found.groups),
        *_coverage(truth, called, found.confidence, found.groups),
        *_answered(truth, called, found.answered, found.groups),
        *_labels(found.labels, predicted, len(spec.labels), found.groups),
    ]
    table = confusion_matrix(found.labels, predicted, labels=range(len(spec.labels)))
    calibration = calibrate(found.confidence, predicted == found.labels, found.groups)
    return replace(_evaluation(part, subject, found.groups, truth, figures, table), calibration=calibration)


def evaluate_baseline(score: Floats, tensors: Tensors, spec: ModelSpec, part: str) -> Evaluation:
    """Measure the baseline from :func:`baseline_scores`, images in the order of ``tensors``."""
    truth, called = positive_truth(tensors.labels, spec), score >= BASELINE_CUTOFF
    table = confusion_matrix(truth, called, labels=[False, True])
    figures = _figures(truth, score, BASELINE_CUTOFF, tensors.groups)
    found = calibrate(np.maximum(score, 1 - score), called == truth, tensors.groups)
    evaluation = _evaluation(part, "baseline", tensors.groups, truth, figures, table)
    return replace(evaluation, calibration=Calibration(found.error))


def baseline_scores(train: Tensors, held_out: Tensors, spec: ModelSpec) -> Floats:
    """Return scores (float64 N, 0..1) of a logistic regression on six colour statistics.

    What a network must beat to have learned more than colour. Classes are weighted to balance.
    """
    regression = make_pipeline(StandardScaler(), LogisticRegression(class_weight="balanced", max_iter=1000))
    regression.fit(train.colour, positive_truth(train.labels, spec))
    return np.asarray(regression.predict_proba(held_out.colour)[:, 1], dtype=np.float64)


def gain_over_baseline(logits: npt.ArrayLike, baseline: Floats, tensors: Tensors, spec: ModelSpec) -> Figure:
    """Return the network's balanced accuracy minus the baseline's, paired: both on the same draws of patients."""
    truth = positive_truth(tensors.labels, spec)
    ours, theirs = positive_scores(logits, spec) >= spec.policy.cutoff, baseline >= BASELINE_CUTOFF

    def measure(rows: npt.NDArray[np.intp]) -> dict[str, float]:
        first, second = rates(truth[rows], ours[rows]), rates(truth[rows], theirs[rows])
        return {GAIN: first["balanced accuracy"] - second["balanced accuracy"]}

    return bootstrap(measure, tensors.groups)[0]


def _evaluation(
    part: str,
    subject: str,
    groups: npt.NDArray[np.str_],
    truth: Bools,
    figures: list[Figure],
    table: npt.NDArray[np.int64],
) -> Evaluation:
    return Evaluation(
        part=part,
        subject=subject,
        images=len(truth),
        groups=len(set(groups)),
        positives=int(truth.sum()),
        figures=tuple(figures),
        confusion=tuple(tuple(int(n) for n in row) for row in table),
    )


def _figures(truth: Bools, score: Floats, cutoff: float, groups: npt.NDArray[np.str_]) -> list[Figure]:
    def measure(rows: npt.NDArray[np.intp]) -> dict[str, float]:
        found = rates(truth[rows], score[rows] >= cutoff)
        return found | {"sensitivity": found["recall"], "auroc": auroc(truth[rows], score[rows])}

    return bootstrap(measure, groups)


def calibrate(confidence: Floats, correct: Bools, groups: npt.NDArray[np.str_]) -> Calibration:
    """Return the expected calibration error, and the bins that it is computed from.

    Its interval is the basic one, the percentiles of the draws mirrored at the value (Davison & Hinkley 1997,
    Bootstrap Methods and their Application, 5.2): draws with repeats raise the error about as much as having few
    images does, so that this bias cancels. It is held within 0..1 and always holds the value.

    Args:
        confidence: float64 N, 0..1.
        correct: bool N.
    """

    def measure(rows: npt.NDArray[np.intp]) -> dict[str, float]:
        return {CALIBRATION: expected_calibration_error(confidence[rows], correct[rows])}

    (found,) = bootstrap(measure, groups)
    return Calibration(mirrored(found), tuple(_rounded(row) for row in reliability(confidence, correct)))


def mirrored(figure: Figure) -> Figure:
    """Return a metric in 0..1 with the basic bootstrap interval instead of the percentile interval."""
    if figure.low is None or figure.high is None:
        return figure
    low, high = 2 * figure.value - figure.high, 2 * figure.value - figure.low
    low, high = max(0.0, min(low, figure.value)), min(1.0, max(high, figure.value))
    return replace(figure, low=round(low, 4), high=round(high, 4))


def _rounded(row: ReliabilityBin) -> ReliabilityBin:
    low, high, confidence, accuracy = (round(share, 4) for share in (row.low, row.high, row.confidence, row.accuracy))
    return ReliabilityBin(low, high, confidence, accuracy, row.count)


def coverage_at(floor: float, truth: Bools, called: Bools, confidence: Floats) -> dict[str, float]:
    """Return the share of images with a confidence of ``floor`` or more, and their metrics."""
    kept = confidence >= floor
    measured = rates(truth[kept], called[kept])
    names = ("accuracy", "balanced accuracy", "precision", "recall")
    return {"coverage": float(kept.mean())} | {name: measured[name] for name in names}


def _coverage(truth: Bools, called: Bools, confidence: Floats, groups: npt.NDArray[np.str_]) -> list[Figure]:
    """The coverage table: share answered at each confidence, and accuracy among these."""

    def measure(rows: npt.NDArray[np.intp]) -> dict[str, float]:
        return {
            f"{name} at confidence {floor:g}": value
            for floor in CONFIDENCES
            for name, value in coverage_at(floor, truth[rows], called[rows], confidence[rows]).items()
        }

    return bootstrap(measure, groups)


def _answered(truth: Bools, called: Bools, answered: Bools, groups: npt.NDArray[np.str_]) -> list[Figure]:
    """Share answered under the spec's policy, and the error among those."""

    def measure(rows: npt.NDArray[np.intp]) -> dict[str, float]:
        kept = rows[answered[rows]]
        wrong = float((truth[kept] != called[kept]).sum())
        return {"answered": len(kept) / len(rows), "error among answered": ratio(wrong, len(kept))}

    return bootstrap(measure, groups)


def _labels(
    labels: npt.NDArray[np.int64], predicted: npt.NDArray[np.intp], count: int, groups: npt.NDArray[np.str_]
) -> list[Figure]:
    """Accuracy of the label with the highest score, for three labels or more.

    Of all images together, and label by label: mean recall and mean F1.
    """
    if count == 2:
        return []

    def measure(rows: npt.NDArray[np.intp]) -> dict[str, float]:
        truth, answer = labels[rows], predicted[rows]
        right = np.bincount(truth[truth == answer], minlength=count)
        there = np.bincount(truth, minlength=count)
        either = there + np.bincount(answer, minlength=count)
        # As scikit-learn does: a label that is not there, or neither there nor answered, does not count.
        return {
            "label accuracy": float((truth == answer).mean()),
            "mean label recall": float((right[there > 0] / there[there > 0]).mean()),
            "macro F1": float((2 * right[either > 0] / either[either > 0]).mean()),
        }

    return bootstrap(measure, groups)


def bootstrap(
    measure: Callable[[npt.NDArray[np.intp]], Mapping[str, float]], groups: npt.NDArray[np.str_], seed: int = 0
) -> list[Figure]:
    """Measure on all rows, and on ``RESAMPLES`` draws of whole groups for the 2.5 and 97.5 percentiles.

    Args:
        measure: rows → name → value; nan where a draw leaves a value undefined.

    Returns:
        One figure a name that is defined on all rows.
    """
    rng = np.random.default_rng(seed)
    members = [np.flatnonzero(groups == group) for group in np.unique(groups)]
    whole = measure(np.arange(len(groups)))
    draws = []
    for _ in range(RESAMPLES):
        drawn = rng.integers(0, len(members), len(members))
        draws.append(measure(np.concatenate([members[i] for i in drawn])))
    figures = []
    for name, value in whole.items():
        spread = np.array([draw[name] for draw in draws])
        spread = spread[np.isfinite(spread)]
        if np.isfinite(value):
            low, high = np.percentile(spread, [2.5, 97.5])
            figures.append(Figure(name, round(value, 4), round(float(low), 4), round(float(high), 4)))
    return figures
