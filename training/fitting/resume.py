"""Where a fit begins: at its first epoch, or after the last that a checkpoint holds."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

import keras

from training.fitting.callbacks import Weights
from training.fitting.checkpoint import Checkpoint, check_same, set_random_state
from training.fitting.fingerprint import FittedOn
from training.fitting.history import Epoch, cut_history, read_history
from training.recipes.recipe import Adam, Recipe, Sgd, TrainingPlan

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class FitStart:
    """What a fit begins with.

    Attributes:
        model: compiled.
        done: figures of the epochs fitted before.
        best: weights of the best of them, where the plan keeps the best.
        stopped: early stopping has ended the fit after them.
    """

    model: keras.Model
    done: tuple[Epoch, ...] = ()
    best: Weights | None = None
    stopped: bool = False


def fresh(recipe: Recipe, weights: str | None, history: Path) -> FitStart:
    """Build and compile the network of ``recipe``; an older history goes."""
    cut_history(history, 0)
    model = recipe.network(weights)
    model.compile(optimizer=_optimiser(recipe.plan), loss=recipe.plan.loss.value, metrics=["accuracy"])
    return FitStart(model)


def resumed(checkpoint: Checkpoint, expected: FittedOn, history: Path, epochs: int) -> FitStart | None:
    """Return where the fit in ``checkpoint`` goes on; None if it has no whole epoch.

    The lines of ``history`` after the checkpoint go.

    Raises:
        ArtifactError: it was begun with other choices, is longer than ``epochs``, or is not whole.
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
