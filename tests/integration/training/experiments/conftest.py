"""Cross-validation without fitting."""

from __future__ import annotations

from pathlib import Path

import keras
import pytest

import training.experiments.fold
from training.data.tensors import Tensors
from training.recipes.phantom_patch import PHANTOM_PATCH

Seen = list[tuple[Tensors, Tensors]]


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> Seen:
    """What was fitted on: fitting itself is left out, the network keeps its first weights."""
    found: Seen = []

    def untrained(
        recipe: object,
        train: Tensors,
        validation: Tensors,
        *,
        epochs: int,
        history: Path,
        weights: str | None = None,
        teachers: object = None,
        traits: object = None,
    ) -> keras.Model:
        found.append((train, validation))
        history.write_text("epoch,loss\n0,1\n", encoding="utf-8")
        keras.utils.set_random_seed(len(found))
        return PHANTOM_PATCH.network(None)

    monkeypatch.setattr(training.experiments.fold, "train_network", untrained)
    return found
