"""A split by patient: which part each patient is in, and the CSV file that keeps it."""

from __future__ import annotations

import csv
import enum
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from training.data.datasets import Sample
from training.errors import ArtifactError, DatasetError


class Part(enum.Enum):
    """Part of a split, and the use of its images."""

    TRAIN = "train"  # fitting and int8 calibration
    VALIDATION = "validation"  # every choice: early stopping, thresholds, guard band
    TEST = "test"  # used once, for the reported figures


@dataclass(frozen=True)
class SplitPlan:
    """Shares (0..1) of patients for validation and test; the rest is for training.

    With ``test`` 0 there is no test part, and more patients to fit on. The figures of such a model come from
    cross-validation of its recipe (:mod:`training.experiments.cross_validated_figures`).
    """

    validation: float
    test: float
    seed: int


Split = Mapping[str, Part]
"""Group (patient) → part."""


def select(samples: Iterable[Sample], split: Split, part: Part) -> tuple[Sample, ...]:
    """Return the samples of one part, in their given order.

    Raises:
        DatasetError: a sample's group is not in the split.
    """
    samples = tuple(samples)
    unknown = sorted({sample.group for sample in samples} - set(split))
    if unknown:
        raise DatasetError(
            f"{len(unknown)} patients are not in this model's split, the first {unknown[0]}. "
            "They were added after training: fit again, or evaluate with --part all to use every patient."
        )
    return tuple(sample for sample in samples if split[sample.group] is part)


def usable(samples: Iterable[Sample], part: Part, contradicted: frozenset[str]) -> tuple[Sample, ...]:
    """Return the samples that may be used in ``part``: all for test, else those not in ``contradicted``."""
    return tuple(sample for sample in samples if part is Part.TEST or sample.name not in contradicted)


def write_split(path: Path, split: Split) -> None:
    """Write a CSV file with the columns ``group,part``, sorted by group."""
    lines = [f"{group},{part.value}" for group, part in sorted(split.items())]
    path.write_text("\n".join(["group,part", *lines]) + "\n", encoding="utf-8")


def read_split(path: Path) -> dict[str, Part]:
    """Return the split that :func:`write_split` wrote.

    Raises:
        ArtifactError: the file is missing, or a line has no valid part.
    """
    if not path.is_file():
        raise ArtifactError(f"{path}: missing; a training artifact keeps its split there. Fit the recipe again.")
    with path.open(encoding="utf-8", newline="") as lines:
        try:
            return {row["group"]: Part(row["part"]) for row in csv.DictReader(lines)}
        except (KeyError, ValueError) as error:
            raise ArtifactError(f"{path}: expected lines 'group,part', found {error}.") from None
