"""The parts of a fit on random crops: losses, batches and validation data of a network with a map of the lesion."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from training.data.crop_batches import CropBatches
from training.data.datasets import Traits
from training.data.datasets.dataset import SCANNER
from training.data.lesion_images import load_lesion_images
from training.data.tensors import Tensors, targets
from training.networks.lesion_attention import HEAT, SUSPICION
from training.recipes.recipe import Recipe

if TYPE_CHECKING:
    from training.data.crop_plan import CropPlan

SCORES = "scores"
SMOOTHING = 0.05
"""Share of the label smoothing (Szegedy et al. 2016, CVPR)."""

WEIGHTS = {SCORES: 1.0, HEAT: 1.0, SUSPICION: 0.3}
"""Weights of the three losses."""


def compile_for_crops(model: keras.Model, optimiser: keras.optimizers.Optimizer) -> None:
    """Compile a network of :class:`training.networks.lesion_attention.LesionAttention`."""
    losses = {
        SCORES: keras.losses.CategoricalCrossentropy(label_smoothing=SMOOTHING),
        HEAT: keras.losses.BinaryCrossentropy(from_logits=True),
        SUSPICION: keras.losses.BinaryCrossentropy(from_logits=True),
    }
    model.compile(optimizer=optimiser, loss=losses, loss_weights=WEIGHTS, weighted_metrics=[])


def crop_batches(
    recipe: Recipe, plan: CropPlan, train: Tensors, traits: Mapping[str, Traits], model: keras.Model
) -> CropBatches:
    """Read the training images with their lesions again, and return batches of random crops.

    Args:
        traits: traits of each sample; sampling is balanced by the trait ``scanner``.
        model: network whose input and map give the sizes.
    """
    labels = recipe.spec.labels
    return CropBatches(
        load_lesion_images(train.samples),
        [dict(traits.get(sample.name, ())).get(SCANNER, "") for sample in train.samples],
        plan,
        labels=len(labels),
        side_px=model.input_shape[1],
        grid=model.get_layer(HEAT).output.shape[1],
        batch=recipe.plan.batch,
        seed=recipe.plan.seed,
        normal=labels.index("normal") if "normal" in labels else None,
    )


def validation_data(recipe: Recipe, validation: Tensors, model: keras.Model) -> tuple[Any, Any, Any]:
    """Return images as on the device, with targets for the scores alone; the other two losses have weight 0."""
    count, grid = len(validation.labels), model.get_layer(HEAT).output.shape[1]
    found = {
        SCORES: targets(validation.labels, recipe.spec),
        HEAT: np.zeros((count, grid, grid), np.float32),
        SUSPICION: np.zeros((count, 1), np.float32),
    }
    none = np.zeros(count, np.float32)
    return validation.images, found, {SCORES: np.ones(count, np.float32), HEAT: none[:, np.newaxis], SUSPICION: none}
