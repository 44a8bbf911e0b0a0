"""The record of a fit says what stands on both sides of its split."""

from pathlib import Path

import numpy as np

from training.data.datasets import Dataset
from training.data.splits import Part
from training.data.tensors import Tensors
from training.fitting.record import audit_split


def _tensors(values: list[float], groups: list[str]) -> Tensors:
    images = np.array(values, dtype=np.float32)[:, None, None, None] * np.ones((1, 4, 4, 3), np.float32)
    labels = np.zeros(len(values), dtype=np.int64)
    return Tensors(images, labels, np.array(groups), np.zeros((len(values), 6)), (), ())


def test_shared_groups_and_tensors_that_were_fitted_on_are_counted() -> None:
    dataset = Dataset(Path("data"), ("a", "b"), (), grouped_by="clusters", notes=("a note",))
    parts = {
        Part.TRAIN: _tensors([1, 2, 3], ["p", "p", "q"]),
        Part.VALIDATION: _tensors([4, 2], ["r", "r"]),
        Part.TEST: _tensors([5, 3, 3], ["s", "q", "s"]),
    }
    found = audit_split(dataset, parts)
    assert (found.shared_groups, found.seen_tensors) == (1, 3)
    assert (found.near, found.notes, found.grouped_by) == (None, ("a note",), "clusters")
    clean = {Part.TRAIN: parts[Part.TRAIN], Part.VALIDATION: _tensors([9], ["x"]), Part.TEST: _tensors([8], ["y"])}
    assert (audit_split(dataset, clean).shared_groups, audit_split(dataset, clean).seen_tensors) == (0, 0)
