"""Starting point of a fit: the first epoch, or the epoch after a checkpoint."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

import keras

from training.fitting.callbacks import Weights
from training.fitting.checkpoint import Checkpoint, check_same, set_random_state
from training.fitting.crop_fit import compile_for_crops
from training.fitting.distillation import LabelAccuracy, distillation_loss
from training.fitting.fingerprint import FittedOn
from training.fitting.history import Epoch, cut_history, read_history
from training.recipes.recipe import Adam, Recipe, Sgd, TrainingPlan

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class FitStart:
    """Starting point of a fit.

    Attributes:
        model: the compiled model.
        done: figures of the epochs fitted before.
        best: weights of the best of these epochs, if the plan keeps the best.
        stopped: early stopping has already ended the fit.
    """

    model: keras.Model
    done: tuple[Epoch, ...] = ()
    best: Weights | None = None
    stopped: bool = False


def fresh(recipe: Recipe, weights: str | None, history: Path) -> FitStart:
    """Build and compile the network of ``recipe``, and remove an older history."""
    cut_history(history, 0)
    model = recipe.network(weights)
    if recipe.crops is not None:
        compile_for_crops(model, _optimiser(recipe.plan))
        return FitStart(model)
    model.compile(
        optimizer=_optimiser(recipe.plan),
        loss=distillation_loss(recipe.teacher, recipe.plan.loss) if recipe.teacher else recipe.plan.loss.value,
        metrics=[LabelAccuracy()] if recipe.teacher else ["accuracy"],
    )
    return FitStart(model)


def resumed(checkpoint: Checkpoint, expected: FittedOn, history: Path, epochs: int) -> FitStart | None:
    """Return the starting point after ``checkpoint``; None if it contains no whole epoch.

    Lines of ``history`` after the checkpoint are removed.

    Raises:
        ArtifactError: the checkpoint belongs to another fit, has more epochs than ``epochs``, or is incomplete.
    """
    state = checkpoint.state()
    if state is None:
        return None
    check_same(expected, state, epochs, checkpoint.folder.parent)
    done = read_history(history, state.epochs)
    model = checkpoint.model(state.epochs)
    set_random_state(model, state.random)
    best = None if state.best is None else checkpoint.model(state.best).get_weights()
    cut_history(history, state.epochs)
    _LOG.info("continuing after epoch %d of %d", state.epochs, epochs)
    return FitStart(model, done, best, state.stopped)


def _optimiser(plan: TrainingPlan) -> keras.optimizers.Optimizer:
    chosen = plan.optimiser
    if isinstance(chosen, Sgd):
        return keras.optimizers.SGD(chosen.learning_rate, clipvalue=chosen.clip_value)
    if isinstance(chosen, Adam):
        return keras.optimizers.Adam(chosen.learning_rate)
    average = {} if chosen.average is None else {"use_ema": True, "ema_momentum": chosen.average}
    return keras.optimizers.AdamW(chosen.learning_rate, weight_decay=chosen.weight_decay, **average)
