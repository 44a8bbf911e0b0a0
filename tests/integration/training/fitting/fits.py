"""Comparison of the histories and the weights of two fits of the phantom network."""

import csv
from pathlib import Path

import keras
import numpy as np
import pytest

from training.recipes import find_recipe

PHANTOM = find_recipe("phantom-patch")
EPOCHS = 6
CLOSE = 1e-5
"""How far weights may lie apart. On two cores they are equal to the bit; more threads may add in no fixed order."""


def history(folder: Path) -> list[dict[str, float]]:
    with (folder / "history.csv").open(newline="") as lines:
        return [{name: float(value) for name, value in row.items()} for row in csv.DictReader(lines)]


def assert_same_history(found: Path, expected: Path) -> None:
    ours, theirs = history(found), history(expected)
    assert [row["epoch"] for row in ours] == [row["epoch"] for row in theirs]
    for one, other in zip(ours, theirs, strict=True):
        assert one == pytest.approx(other, abs=CLOSE), one["epoch"]


def assert_same_weights(found: keras.Model, expected: keras.Model) -> None:
    worst = max(float(np.abs(a - b).max()) for a, b in zip(found.get_weights(), expected.get_weights(), strict=True))
    assert worst <= CLOSE, f"weights differ by {worst}"
