"""Binary classification metrics and the area under the ROC curve, without intervals; nan where undefined."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.stats import rankdata

from edge_runtime.bundle.spec import ModelSpec

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]


def positive_truth(labels: npt.NDArray[np.int64], spec: ModelSpec) -> Bools:
    """Return whether each label (int64 N, index into the spec's labels) is positive, bool N."""
    positive: Bools = np.array([label in spec.positive for label in spec.labels])
    return positive[labels]


def rates(truth: Bools, called: Bools) -> dict[str, float]:
    """Return accuracy, balanced accuracy, precision, recall, specificity and F1; nan where undefined.

    Args:
        truth: bool N, whether the true label is positive.
        called: bool N, whether the prediction is positive.
    """
    tp, fp = float((truth & called).sum()), float((~truth & called).sum())
    fn, tn = float((truth & ~called).sum()), float((~truth & ~called).sum())
    recall, specificity = ratio(tp, tp + fn), ratio(tn, tn + fp)
    return {
        "accuracy": ratio(tp + tn, tp + fp + fn + tn),
        "balanced accuracy": (recall + specificity) / 2,
        "precision": ratio(tp, tp + fp),
        "recall": recall,
        "specificity": specificity,
        "f1": ratio(2 * tp, 2 * tp + fp + fn),
    }


def ratio(part: float, whole: float) -> float:
    """Return part / whole; nan where ``whole`` is 0."""
    return part / whole if whole else float("nan")


def auroc(truth: Bools, score: Floats) -> float:
    """Return the area under the ROC curve; nan where one class is missing.

    Computed from ranks, where equal scores share their mean rank. The value equals the area under the curve
    (Hanley & McNeil 1982, Radiology 143:29). It takes a tenth of the time, and a bootstrap needs thousands of values.
    """
    positives = int(truth.sum())
    pairs = positives * (len(truth) - positives)
    above = float(rankdata(score)[truth].sum()) - positives * (positives + 1) / 2
    return above / pairs if pairs else float("nan")
