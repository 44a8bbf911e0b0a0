"""Choose the training pictures on which export measures int8 ranges, and name them for good."""

from __future__ import annotations

import csv
import hashlib
from pathlib import Path

import numpy as np

from edge_runtime.errors import ImageError
from edge_runtime.imaging import read
from edge_runtime.preprocessing import prepare
from edge_runtime.spec import ModelSpec
from training.artifact import Artifact
from training.datasets import Sample
from training.recipes import find_recipe
from training.splits import Part, select
from training.tensors import balanced_index


def write_samples(folder: Path, data: Path, out: Path, count: int) -> int:
    """Write ``name,sha256`` of about ``count`` training pictures, half of each label, spread over patients.

    Returns:
        How many were written.
    """
    artifact = Artifact(folder)
    spec = artifact.spec()
    dataset = find_recipe(spec.name).source.load(data)
    chosen = _choose(select(dataset.samples, artifact.split(), Part.TRAIN), count)
    rows = [(s.name, hashlib.sha256(s.path.read_bytes()).hexdigest()) for s in chosen if _accepted(s, spec)]
    out.parent.mkdir(parents=True, exist_ok=True)
    with out.open("w", encoding="utf-8", newline="") as lines:
        writer = csv.writer(lines, lineterminator="\n")
        writer.writerow(["name", "sha256"])
        writer.writerows(rows)
    return len(rows)


def _choose(samples: tuple[Sample, ...], count: int) -> list[Sample]:
    """Take every n-th of the balanced samples: they are sorted by patient, so all patients come in."""
    rows = balanced_index(np.array([sample.label for sample in samples]), seed=0)
    places = np.linspace(0, len(rows) - 1, min(count, len(rows))).round().astype(int)
    return [samples[i] for i in rows[np.unique(places)]]


def _accepted(sample: Sample, spec: ModelSpec) -> bool:
    try:
        prepare(read(sample.path, min_side_px=spec.min_side_px), spec.steps)
    except ImageError:
        return False
    return True
