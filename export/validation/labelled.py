"""Measure each file on labelled images: ranking, calibration, and system 4's coverage table from int8 logits."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from edge_runtime.bundle.manifest import Coverage, Labelled
from edge_runtime.bundle.spec import ModelSpec
from edge_runtime.decision.scores import positive_scores, scores_of
from export.source.calibration_images import Truth
from training.metrics.binary import auroc, positive_truth
from training.metrics.confidence import expected_calibration_error
from training.metrics.evaluation import CONFIDENCES, coverage_at


def labelled(subject: str, logits: npt.NDArray[np.float32], truth: Truth, spec: ModelSpec) -> Labelled:
    """Measure logits (float32 N×outputs) against the labels; without intervals, since all files use the same images.

    Args:
        subject: ``keras``, or the name of the file.
    """
    scores, score = scores_of(logits, spec), positive_scores(logits, spec)
    positive, confidence = positive_truth(truth.labels, spec), scores.max(axis=1)
    called = score >= spec.policy.cutoff
    return Labelled(
        subject=subject,
        images=len(logits),
        groups=len(np.unique(truth.groups)),
        auroc=_defined(auroc(positive, score)),
        calibration_error=round(expected_calibration_error(confidence, scores.argmax(axis=1) == truth.labels), 5),
        coverage=tuple(_row(floor, coverage_at(floor, positive, called, confidence)) for floor in CONFIDENCES),
    )


def _row(floor: float, found: dict[str, float]) -> Coverage:
    return Coverage(
        confidence=floor,
        coverage=round(found["coverage"], 5),
        accuracy=_defined(found["accuracy"]),
        precision=_defined(found["precision"]),
        recall=_defined(found["recall"]),
    )


def _defined(value: float) -> float | None:
    return None if math.isnan(value) else round(value, 5)
