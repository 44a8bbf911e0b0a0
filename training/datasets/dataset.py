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
    """Labelled pictures in a fixed order (by name), and what was found while reading the folder.

    Attributes:
        passed_over: files that are no pictures of the layout.
        grouped_by: what a sample's group is, in the plural: patients, or what stands for them.
        contradicted: names of samples that show the same thing as one of another label; never fitted on.
        notes: sentences that whoever uses the set must know.
    """

    root: Path
    labels: tuple[str, ...]
    samples: tuple[Sample, ...]
    passed_over: tuple[str, ...] = ()
    grouped_by: str = "patients"
    contradicted: frozenset[str] = frozenset()
    notes: tuple[str, ...] = ()

    def summary(self) -> str:
        """Return one line: pictures, groups, and pictures by label."""
        counts = Counter(sample.label for sample in self.samples)
        by_label = ", ".join(f"{counts[i]} {label}" for i, label in enumerate(self.labels))
        groups = len({sample.group for sample in self.samples})
        tail = f"; {len(self.passed_over)} files passed over" if self.passed_over else ""
        return f"{len(self.samples)} pictures of {groups} {self.grouped_by} ({by_label}){tail}"
