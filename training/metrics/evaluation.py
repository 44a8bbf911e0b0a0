"""Metrics on held-out patients, each with a 95 % interval by bootstrap over patients.

Patients are drawn with replacement, each with all their images. The interval therefore holds for new patients, not
for new patches of the same patients (cluster bootstrap, Field & Welsh 2007, JRSS-B 69:369).
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
"""The confidences of the coverage table that system 4 publishes."""

BASELINE_CUTOFF = 0.5
CROSS_VALIDATION = "cross-validation"
"""The ``part`` of figures that were measured by cross-validation of a model's recipe."""
GAIN = "balanced accuracy over baseline"
CALIBRATION = "expected calibration error"


def evaluate_scores(logits: npt.ArrayLike, tensors: Tensors, spec: ModelSpec, part: str) -> Evaluation:
    """Return the metrics of a network from its logits (N×outputs), images in the order of ``tensors``."""
    return evaluate_scored(Scored.of_logits(logits, tensors.labels, tensors.groups, spec), spec, part, KERAS)


def evaluate_scored(found: Scored, spec: ModelSpec, part: str, subject: str) -> Evaluation:
    """Return the metrics of a network from its scores and decisions.

    Args:
        subject: name of what was measured, the field of :class:`~edge_runtime.bundle.metrics.Evaluation`.
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
    """Return the metrics of the baseline from :func:`baseline_scores`, images in the order of ``tensors``."""
    truth, called = positive_truth(tensors.labels, spec), score >= BASELINE_CUTOFF
    table = confusion_matrix(truth, called, labels=[False, True])
    figures = _figures(truth, score, BASELINE_CUTOFF, tensors.groups)
    found = calibrate(np.maximum(score, 1 - score), called == truth, tensors.groups)
    evaluation = _evaluation(part, "baseline", tensors.groups, truth, figures, table)
    return replace(evaluation, calibration=Calibration(found.error))


def baseline_scores(train: Tensors, held_out: Tensors, spec: ModelSpec) -> Floats:
    """Return scores (float64 N, 0..1) of a logistic regression on six colour numbers.

    A network that does not beat this baseline has not been shown to learn more than colour. The classes have equal
    weight.
    """
    regression = make_pipeline(StandardScaler(), LogisticRegression(class_weight="balanced", max_iter=1000))
    regression.fit(train.colour, positive_truth(train.labels, spec))
    return np.asarray(regression.predict_proba(held_out.colour)[:, 1], dtype=np.float64)


def gain_over_baseline(logits: npt.ArrayLike, baseline: Floats, tensors: Tensors, spec: ModelSpec) -> Figure:
    """Return the network's balanced accuracy minus the baseline's; both use the same draws of patients."""
    truth = positive_truth(tensors.labels, spec)
    by_network, by_baseline = positive_scores(logits, spec) >= spec.policy.cutoff, baseline >= BASELINE_CUTOFF

    def measure(rows: npt.NDArray[np.intp]) -> dict[str, float]:
        first, second = rates(truth[rows], by_network[rows]), rates(truth[rows], by_baseline[rows])
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
    """Return the expected calibration error, and the bins from which it is computed.

    Its interval is the basic bootstrap interval: the percentiles of the draws, mirrored at the value (Davison &
    Hinkley 1997, Bootstrap Methods and their Application, 5.2). Repeated images in a draw raise the error about as
    much as a small number of images does, so that this bias cancels. The interval is clipped to 0..1 and always
    contains the value.

    Args:
        confidence: float64 N, 0..1.
        correct: bool N.
    """

    def measure(rows: npt.NDArray[np.intp]) -> dict[str, float]:
        return {CALIBRATION: expected_calibration_error(confidence[rows], correct[rows])}

    (found,) = bootstrap(measure, groups)
    return Calibration(mirrored(found), tuple(_rounded(row) for row in reliability(confidence, correct)))


def mirrored(figure: Figure) -> Figure:
    """Return a figure (0..1) with the basic bootstrap interval instead of the percentile interval."""
    if figure.low is None or figure.high is None:
        return figure
    low, high = 2 * figure.value - figure.high, 2 * figure.value - figure.low
    low, high = max(0.0, min(low, figure.value)), min(1.0, max(high, figure.value))
    return replace(figure, low=round(low, 4), high=round(high, 4))


def _rounded(row: ReliabilityBin) -> ReliabilityBin:
    low, high, confidence, accuracy = (round(share, 4) for share in (row.low, row.high, row.confidence, row.accuracy))
    return ReliabilityBin(low, high, confidence, accuracy, row.count)


def coverage_at(floor: float, truth: Bools, called: Bools, confidence: Floats) -> dict[str, float]:
    """Return the share of images with a confidence of ``floor`` or more, and the metrics on these images."""
    kept = confidence >= floor
    measured = rates(truth[kept], called[kept])
    names = ("accuracy", "balanced accuracy", "precision", "recall")
    return {"coverage": float(kept.mean())} | {name: measured[name] for name in names}


def _coverage(truth: Bools, called: Bools, confidence: Floats, groups: npt.NDArray[np.str_]) -> list[Figure]:
    """Return the coverage table: for each of :data:`CONFIDENCES`, the share answered and its metrics."""

    def measure(rows: npt.NDArray[np.intp]) -> dict[str, float]:
        return {
            f"{name} at confidence {floor:g}": value
            for floor in CONFIDENCES
            for name, value in coverage_at(floor, truth[rows], called[rows], confidence[rows]).items()
        }

    return bootstrap(measure, groups)


def _answered(truth: Bools, called: Bools, answered: Bools, groups: npt.NDArray[np.str_]) -> list[Figure]:
    """Return the share of images that the policy answers, and the error among them."""

    def measure(rows: npt.NDArray[np.intp]) -> dict[str, float]:
        kept = rows[answered[rows]]
        wrong = float((truth[kept] != called[kept]).sum())
        return {"answered": len(kept) / len(rows), "error among answered": ratio(wrong, len(kept))}

    return bootstrap(measure, groups)


def _labels(
    labels: npt.NDArray[np.int64], predicted: npt.NDArray[np.intp], count: int, groups: npt.NDArray[np.str_]
) -> list[Figure]:
    """Return accuracy, mean recall and mean F1 of the label with the highest score; empty for two labels."""
    if count == 2:
        return []

    def measure(rows: npt.NDArray[np.intp]) -> dict[str, float]:
        truth, answer = labels[rows], predicted[rows]
        right = np.bincount(truth[truth == answer], minlength=count)
        support = np.bincount(truth, minlength=count)
        either = support + np.bincount(answer, minlength=count)
        # As in scikit-learn: recall leaves out labels without images, and F1 those that also are never predicted.
        return {
            "label accuracy": float((truth == answer).mean()),
            "mean label recall": float((right[support > 0] / support[support > 0]).mean()),
            "macro F1": float((2 * right[either > 0] / either[either > 0]).mean()),
        }

    return bootstrap(measure, groups)


def bootstrap(
    measure: Callable[[npt.NDArray[np.intp]], Mapping[str, float]], groups: npt.NDArray[np.str_], seed: int = 0
) -> list[Figure]:
    """Return values on all rows, with the 2.5 and 97.5 percentiles of ``RESAMPLES`` draws of whole groups.

    Args:
        measure: function of rows that returns name → value; nan where a value is undefined.
        groups: N ids; rows of one group are drawn together.

    Returns:
        One figure for each name whose value is defined on all rows.
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
