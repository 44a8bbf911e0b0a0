"""Loss and accuracy of a distilled network: against the labels, and against the probabilities of its teachers.

The targets of a training batch are N×(2·outputs): the labels, then the teachers' probabilities at the loss's
temperature (:class:`training.data.batches.Batches`). The targets of a validation batch are the N×outputs labels alone,
so that the validation loss is the one of a network without teachers.
"""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from training.recipes.recipe import Loss, Teacher

LEAST = 1e-7
"""Probabilities are clipped to this distance from 0 and 1, as Keras does."""


@keras.saving.register_keras_serializable(package="training")
class DistillationLoss(keras.losses.Loss):  # type: ignore[misc]  # Keras ships no types
    """Cross-entropy against labels and teachers, mixed as :class:`training.recipes.recipe.Teacher` says.

    Args:
        binary: every output is a sigmoid of its own; otherwise the outputs are one softmax.
        weight, temperature: see :class:`training.recipes.recipe.Teacher`.
    """

    def __init__(self, binary: bool, weight: float, temperature: float, **base: Any) -> None:
        super().__init__(**({"name": "distillation"} | base))
        self._binary, self._weight, self._temperature = binary, weight, temperature

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Return the loss of each image, from N×outputs or N×(2·outputs) targets and N×outputs probabilities."""
        outputs = y_pred.shape[-1]
        labels = self._entropy(y_true[:, :outputs], y_pred)
        if y_true.shape[-1] == outputs:
            return labels
        taught = self._entropy(y_true[:, outputs:], self._softened(y_pred))
        return (1.0 - self._weight) * labels + self._weight * self._temperature**2 * taught

    def get_config(self) -> dict[str, Any]:
        """Return the arguments, for saved models."""
        own = {"binary": self._binary, "weight": self._weight, "temperature": self._temperature}
        return {**super().get_config(), **own}

    def _entropy(self, targets: Any, scores: Any) -> Any:
        kind = keras.losses.binary_crossentropy if self._binary else keras.losses.categorical_crossentropy
        return kind(targets, scores)

    def _softened(self, scores: Any) -> Any:
        """Return the probabilities (N×outputs) of the same logits divided by the temperature."""
        if self._temperature == 1.0:
            return scores
        log = ops.log(ops.clip(scores, LEAST, 1.0 - LEAST)) / self._temperature
        if not self._binary:
            return ops.softmax(log, axis=-1)
        return ops.sigmoid(log - ops.log(1.0 - ops.clip(scores, LEAST, 1.0 - LEAST)) / self._temperature)


@keras.saving.register_keras_serializable(package="training")
class LabelAccuracy(keras.metrics.MeanMetricWrapper):  # type: ignore[misc]  # Keras ships no types
    """The accuracy on the labels, which are the first half of the targets if a batch has teachers."""

    def __init__(self, name: str = "accuracy", dtype: Any = None) -> None:
        super().__init__(label_accuracy, name=name, dtype=dtype)

    def get_config(self) -> dict[str, Any]:
        """Return the arguments, for saved models."""
        return {"name": self.name, "dtype": self.dtype}


def label_accuracy(y_true: Any, y_pred: Any) -> Any:
    """Return the accuracy of each image as Keras' ``accuracy`` does: by argmax, or at 0.5 for a single output."""
    outputs = y_pred.shape[-1]
    labels = y_true[:, :outputs]
    if outputs == 1:
        return keras.metrics.binary_accuracy(labels, y_pred)
    return keras.metrics.categorical_accuracy(labels, y_pred)


def distillation_loss(teacher: Teacher, loss: Loss) -> DistillationLoss:
    """Return the loss of a recipe with teachers."""
    return DistillationLoss(loss is Loss.BINARY, teacher.weight, teacher.temperature)
