"""Runs a bundle on labelled images with the device's runtime: decoding, guard band, float32 fallback and refusals.

The measured values are those that a user gets: the final score and the decision. Near a threshold, the score of a
quantised model is that of the float32 model, as on the device.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from edge_runtime import Decision, ImageError, Precision, Prediction, Predictor, Reason
from edge_runtime.bundle.metrics import Figure
from edge_runtime.bundle.policy import Head
from edge_runtime.bundle.spec import ModelSpec
from training.data.datasets import Sample
from training.data.tensors import MOST_NAMED
from training.errors import DatasetError
from training.metrics.classwise import ClassOutcomes
from training.metrics.evaluation import bootstrap
from training.metrics.scored import Scored

_LOG = logging.getLogger(__name__)
RERUN = "rerun in float32"
_SMALLEST = float(np.finfo(np.float64).tiny)
_CLOSEST = float(np.finfo(np.float64).epsneg)


@dataclass(frozen=True, eq=False)
class DeviceOutputs:
    """Predictions of the runtime on N images.

    Attributes:
        samples: the images with a prediction, in order.
        predictions: one for each sample.
        refused: one line for each image that the runtime rejects; these have no prediction.
        first: precision of the model file that predicts first.
    """

    samples: tuple[Sample, ...]
    predictions: tuple[Prediction, ...]
    refused: tuple[str, ...]
    spec: ModelSpec
    first: Precision

    @cached_property
    def scored(self) -> Scored:
        """True labels, scores on the device, and whether each image was answered (decision other than REFER)."""
        verdicts = [prediction.verdict for prediction in self.predictions]
        return Scored(
            labels=np.array([sample.label for sample in self.samples], dtype=np.int64),
            groups=np.array([sample.group for sample in self.samples]),
            scores=np.array([[verdict.scores[label] for label in self.spec.labels] for verdict in verdicts]),
            positive=np.array([verdict.score for verdict in verdicts]),
            answered=np.array([verdict.decision is not Decision.REFER for verdict in verdicts]),
        )

    @property
    def outcome(self) -> ClassOutcomes:
        """The same scores as logits, for curves and metrics of each class."""
        found = self.scored
        return ClassOutcomes.of(logits_of(found.scores, self.spec), found.labels, found.groups, self.spec)

    def shares(self) -> list[Figure]:
        """Return the share of images with each decision, with each reason, and decided by the fallback to float32."""
        groups = self.scored.groups
        named: dict[str, npt.NDArray[np.bool_]] = {}
        for decision in Decision:
            named[f"decided {decision.value}"] = np.array([p.verdict.decision is decision for p in self.predictions])
        for reason in Reason:
            named[f"for {reason.value}"] = np.array([p.verdict.reason is reason for p in self.predictions])
        named[RERUN] = np.array([p.precision != self.first.value for p in self.predictions])
        return bootstrap(lambda rows: {name: float(is_so[rows].mean()) for name, is_so in named.items()}, groups)


def answer_on_device(
    predictor: Predictor, samples: Sequence[Sample], label: str, *, strict: bool = False
) -> DeviceOutputs:
    """Run inference on images one by one.

    Args:
        label: name of the samples in messages.
        strict: reject an image that cannot be read, instead of skipping it with a warning.

    Raises:
        DatasetError: no image can be read; or, where ``strict``, one image cannot be read.
        BackendError: the network returned a value that is not finite.
    """
    kept, found, refused = [], [], []
    for sample in tqdm(samples, desc=f"answering {label}", unit="image", disable=None, leave=False):
        try:
            found.append(predictor.predict(sample.path, region=sample.region, name=sample.name))
        except ImageError as error:
            refused.append(f"{sample.name}: {error.code}")
            continue
        kept.append(sample)
    if refused and (strict or not kept):
        raise DatasetError(
            f"{label}: found {len(refused)} of {len(samples)} images that cannot be read, the first {refused[0]}; "
            "expected none. Repair or remove them."
        )
    if not kept:
        raise DatasetError(f"{label}: found no image, expected at least one. Check --data and --part.")
    if refused:
        named = ", ".join(refused[:MOST_NAMED])
        _LOG.warning("%s: %d images cannot be read and are skipped: %s", label, len(refused), named)
    return DeviceOutputs(tuple(kept), tuple(found), tuple(refused), predictor.spec, predictor.precision)


def logits_of(scores: npt.NDArray[np.float64], spec: ModelSpec) -> npt.NDArray[np.float64]:
    """Return logits that give these scores under the spec's policy, float64 N×outputs.

    The inverse of :func:`edge_runtime.decision.scores_of` within float64. For a score of exactly 0 or 1 it returns
    the nearest finite logit.

    Args:
        scores: float64 N×labels, 0..1.
    """
    if spec.head is Head.PROBABILITIES:
        return scores
    held = np.clip(scores, _SMALLEST, None)
    if spec.head is Head.SOFTMAX:
        return np.asarray(np.log(held) * spec.policy.temperature)
    if spec.head is Head.SIGMOID:
        return np.asarray((np.log(held[:, 1:]) - np.log(held[:, :1])) * spec.policy.temperature)
    held = np.clip(held, None, 1.0 - _CLOSEST)
    return np.asarray((np.log(held) - np.log1p(-held)) * spec.policy.temperature)
