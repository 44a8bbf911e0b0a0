"""Paired differences between the metrics of the bundle on the device's runtime and those of the Keras model."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from edge_runtime.bundle.metrics import Figure
from edge_runtime.bundle.spec import ModelSpec
from training.errors import DatasetError
from training.metrics.binary import auroc, positive_truth, rates
from training.metrics.confidence import expected_calibration_error
from training.metrics.evaluation import CALIBRATION, bootstrap
from training.metrics.scored import Scored

DIFFER = "decisions that differ"
_RATES = ("balanced accuracy", "accuracy", "sensitivity", "specificity")

Rows = npt.NDArray[np.intp]


def changes(device: Scored, keras: Scored, spec: ModelSpec) -> tuple[Figure, ...]:
    """Return each figure of ``device`` minus that of ``keras``; both use the same bootstrap draws of patients.

    The last figure is not a difference. It is the share of images whose decision (POSITIVE, NEGATIVE, REFER)
    differs.

    Raises:
        DatasetError: the two do not hold the same images.
    """
    if not (np.array_equal(device.labels, keras.labels) and np.array_equal(device.groups, keras.groups)):
        raise DatasetError(
            f"paired change: found {len(device.labels)} images predicted by the bundle and {len(keras.labels)} by the "
            "Keras model, expected the same images. Run both on the same --data."
        )
    differ = _decided(device, spec) != _decided(keras, spec)

    def measure(rows: Rows) -> dict[str, float]:
        on_device, in_keras = _measure(device, rows, spec), _measure(keras, rows, spec)
        return {name: on_device[name] - in_keras[name] for name in on_device} | {DIFFER: float(differ[rows].mean())}

    return tuple(bootstrap(measure, device.groups))


def _measure(scored: Scored, rows: Rows, spec: ModelSpec) -> dict[str, float]:
    taken = scored.take(rows)
    truth = positive_truth(taken.labels, spec)
    shares = rates(truth, taken.positive >= spec.policy.cutoff)
    shares["sensitivity"] = shares["recall"]
    error = expected_calibration_error(taken.confidence, taken.predicted == taken.labels)
    return {name: shares[name] for name in _RATES} | {
        "auroc": auroc(truth, taken.positive),
        CALIBRATION: error,
        "answered": float(taken.answered.mean()),
    }


def _decided(scored: Scored, spec: ModelSpec) -> npt.NDArray[np.int64]:
    """Return the decision on each image, int64 N: 0 for REFER, 1 for NEGATIVE, 2 for POSITIVE."""
    return np.where(scored.answered, 1 + (scored.positive >= spec.policy.cutoff), 0).astype(np.int64)
