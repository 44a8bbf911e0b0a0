"""A set of labelled pictures, and its summary."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, order=True)
class Sample:
    """One labelled picture.

    Attributes:
        name: path below the data set's root, with forward slashes; the key in every list on disk.
        path: where the file is now.
        label: index into the data set's labels.
        group: what a split must keep together: a patient.
    """

    name: str
    path: Path
    label: int
    group: str


@dataclass(frozen=True)
class Dataset:
    """Labelled pictures in a fixed order (by name), and what was passed over while reading the folder."""

    root: Path
    labels: tuple[str, ...]
    samples: tuple[Sample, ...]
    passed_over: tuple[str, ...] = ()

    def summary(self) -> str:
        """Return one line: pictures, groups, and pictures by label."""
        counts = Counter(sample.label for sample in self.samples)
        by_label = ", ".join(f"{counts[i]} {label}" for i, label in enumerate(self.labels))
        groups = len({sample.group for sample in self.samples})
        tail = f"; {len(self.passed_over)} files passed over" if self.passed_over else ""
        return f"{len(self.samples)} pictures of {groups} patients ({by_label}){tail}"
