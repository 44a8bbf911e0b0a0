"""Cross-fitted temperatures: each fold's logits are divided by a temperature fitted on all other folds.

A temperature that is measured on the images that it was fitted on looks too good. Here no image contributes to its own
temperature. The temperature is fitted on logits of other networks, those of the other folds. Where the folds' logits
differ in scale, the calibration error is therefore larger than that of one network with a temperature from its own
validation part.

The expected calibration error of few images is never 0. Its size for correct confidences is estimated by random draws
and reported beside it (consistency resampling, Bröcker & Smith 2007, Weather and Forecasting 22:651).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edge_runtime.bundle.metrics import Calibration
from edge_runtime.bundle.spec import ModelSpec
from training.experiments.predictions import HeldOutPrediction
from training.metrics.confidence import expected_calibration_error, fit_temperature
from training.metrics.evaluation import calibrate
from training.metrics.scored import Scored

DRAWS = 500


@dataclass(frozen=True)
class CrossFitted:
    """Calibration of the confidences at temperatures from other folds.

    Attributes:
        temperatures: one per fold, in fold order.
        calibration: calibration of all predictions, each at its fold's temperature.
        by_chance: mean expected calibration error of as many perfectly calibrated predictions.
    """

    temperatures: tuple[float, ...]
    calibration: Calibration
    by_chance: float


def cross_fit(predictions: Sequence[HeldOutPrediction], spec: ModelSpec) -> CrossFitted:
    """Fit a temperature for each fold on all other folds' predictions; return it with the resulting calibration.

    Args:
        predictions: out-of-fold predictions of two folds or more; raw logits, independent of the spec's temperature.
    """
    logits: npt.NDArray[np.float64] = np.array([p.logits for p in predictions], dtype=np.float64)
    labels = np.array([spec.labels.index(p.label) for p in predictions], dtype=np.int64)
    groups = np.array([p.group for p in predictions])
    folds = np.array([p.fold for p in predictions])
    turns = np.unique(folds)
    fitted = {int(turn): fit_temperature(logits[folds != turn], labels[folds != turn], spec) for turn in turns}
    divisors = np.array([fitted[int(fold)] for fold in folds]) / spec.policy.temperature
    found = Scored.of_logits(logits / divisors[:, np.newaxis], labels, groups, spec)
    calibration = calibrate(found.confidence, found.predicted == labels, groups)
    temperatures = tuple(round(fitted[int(turn)], 4) for turn in turns)
    return CrossFitted(temperatures, calibration, round(error_by_chance(found.confidence), 4))


def error_by_chance(confidence: npt.NDArray[np.float64], seed: int = 0) -> float:
    """Return the mean expected calibration error of predictions drawn correct with probability ``confidence`` (N)."""
    rng = np.random.default_rng(seed)
    right = rng.random((DRAWS, len(confidence))) < confidence
    return float(np.mean([expected_calibration_error(confidence, row) for row in right]))
