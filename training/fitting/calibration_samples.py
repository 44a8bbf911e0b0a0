"""Choose the training images on which export measures int8 ranges, and write their names and hashes."""

from __future__ import annotations

import csv
import hashlib
from pathlib import Path

import numpy as np

from edge_runtime.bundle.spec import ModelSpec
from edge_runtime.errors import ImageError
from edge_runtime.images.region import split_name
from edge_runtime.preprocessing.preprocessor import preprocess
from training.artifact import Artifact
from training.data.datasets import Sample
from training.data.samples import SampleReader
from training.data.splits import Part, select
from training.data.tensors import balanced_index
from training.recipes import find_recipe

FEWEST_BALANCED = 64
"""Smallest balanced set. If the rarest label gives fewer images, the choice is made from all images instead.

Quantisation ranges need many images more than they need balance.
"""


def write_samples(folder: Path, data: Path, out: Path, count: int) -> int:
    """Write ``name,sha256`` of about ``count`` training images, balanced over labels and spread over patients.

    The name of a region is ``file@x,y,radius``. The SHA-256 is that of the whole file.

    Returns:
        Number of images written.
    """
    artifact = Artifact(folder)
    spec = artifact.spec()
    dataset = find_recipe(spec.name).source.load(data)
    chosen = _choose(select(dataset.samples, artifact.split(), Part.TRAIN), count)
    images = SampleReader(spec)
    accepted = [sample for sample in chosen if _accepted(sample, images, spec)]
    rows = _unlike([(sample.name, hashlib.sha256(sample.path.read_bytes()).hexdigest()) for sample in accepted])
    out.parent.mkdir(parents=True, exist_ok=True)
    with out.open("w", encoding="utf-8", newline="") as lines:
        writer = csv.writer(lines, lineterminator="\n")
        writer.writerow(["name", "sha256"])
        writer.writerows(rows)
    return len(rows)


def _unlike(rows: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """Return the first of the lines that name the same region of files with equal content."""
    first = {(sha256, split_name(name)[1]): (name, sha256) for name, sha256 in reversed(rows)}
    return [row for row in rows if row in first.values()]


def _choose(samples: tuple[Sample, ...], count: int) -> list[Sample]:
    """Return every n-th balanced sample. Samples are sorted by patient, so the choice covers all patients."""
    rows = balanced_index(np.array([sample.label for sample in samples]), seed=0)
    if len(rows) < FEWEST_BALANCED:
        rows = np.arange(len(samples), dtype=np.int64)
    places = np.linspace(0, len(rows) - 1, min(count, len(rows))).round().astype(int)
    return [samples[i] for i in rows[np.unique(places)]]


def _accepted(sample: Sample, images: SampleReader, spec: ModelSpec) -> bool:
    try:
        preprocess(images.read(sample), spec.steps)
    except ImageError:
        return False
    return True
