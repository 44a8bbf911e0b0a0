"""A set of labelled images, and its summary."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from edge_runtime.bundle.metrics import NearCopies
from edge_runtime.images.region import Region, split_name
from training.errors import DatasetError

Traits = tuple[tuple[str, str], ...]
"""Properties of an image beyond its label: (trait, value) pairs, such as ``tissue`` and ``dense``."""

SITE, SCANNER, BI_RADS = "site", "scanner", "BI-RADS"
"""Names of traits: the hospital, the machine that made the image, and the category that a reader gave it."""

_SHOWN = 5


@dataclass(frozen=True, order=True)
class Sample:
    """One labelled image.

    Attributes:
        name: path below the data set's root, with forward slashes, and ``@x,y,radius`` for a region
            (:func:`edge_runtime.images.region.region_name`); the key in every list on disk.
        path: path of the file on this machine.
        label: index into the data set's labels.
        group: unit that a split keeps together, usually a patient.
        region: the labelled region of the image; None for the whole image. The name contains the region, so order and
            equality use the name only.
        suspicion: a reader's probability of malignancy (0..1), as a second target of a fit; None if not recorded.
    """

    name: str
    path: Path
    label: int
    group: str
    region: Region | None = field(default=None, compare=False)
    suspicion: float | None = field(default=None, compare=False)

    def __post_init__(self) -> None:
        if self.region is not None and split_name(self.name)[1] != self.region:
            raise ValueError(
                f"sample {self.name}: found region {self.region}, expected the one that its name ends with."
            )


@dataclass(frozen=True)
class Dataset:
    """Labelled images in a fixed order (by name), and findings of the loader.

    Attributes:
        passed_over: files that are not images of the layout.
        grouped_by: name of the groups, in the plural: patients, or a substitute for patients.
        contradicted: names of samples that are near copies of a sample with another label; never used for training.
        notes: notes that every user of the set must read.
        dropped: candidates that are not samples, each with the reason.
        traits: name of a sample → its traits, for figures by subgroup.
        near: counts of near copies in the set; None if the images were not compared.
    """

    root: Path
    labels: tuple[str, ...]
    samples: tuple[Sample, ...]
    passed_over: tuple[str, ...] = ()
    grouped_by: str = "patients"
    contradicted: frozenset[str] = frozenset()
    notes: tuple[str, ...] = ()
    dropped: tuple[str, ...] = ()
    traits: Mapping[str, Traits] = field(default_factory=dict)
    near: NearCopies | None = None

    def summary(self) -> str:
        """Return one line: images and groups, in total and by label; a group with several labels counts in each."""
        images = Counter(sample.label for sample in self.samples)
        labels_of: dict[str, set[int]] = defaultdict(set)
        for sample in self.samples:
            labels_of[sample.group].add(sample.label)
        groups = Counter(label for found in labels_of.values() for label in found)
        by_label = ", ".join(f"{label} {images[i]} of {groups[i]}" for i, label in enumerate(self.labels))
        several = sum(len(found) > 1 for found in labels_of.values())
        tail = f"; {several} {self.grouped_by} hold more than one label" if several else ""
        tail += f"; {len(self.passed_over)} files passed over" if self.passed_over else ""
        tail += f"; {len(self.dropped)} candidates dropped" if self.dropped else ""
        return f"{len(self.samples)} images of {len(labels_of)} {self.grouped_by} ({by_label}){tail}"


def refuse_faults(folder: Path, faults: Sequence[str], found: str) -> None:
    """Raise if there are faults: the error counts all of them and names the first five.

    Args:
        folder: the published folder.
        faults: one line for each fault.
        found: the words after their number, such as ``places do not fit the published layout <label>/<number>.png``.

    Raises:
        DatasetError: there is a fault.
    """
    if faults:
        shown = "\n  ".join(faults[:_SHOWN])
        raise DatasetError(
            f"{folder}: {len(faults)} {found}; the first:\n  {shown}\n"
            "Unpack the archive again, or move these files away."
        )


def absent_labels(labels: tuple[str, ...], samples: tuple[Sample, ...]) -> tuple[str, ...]:
    """Return a note that names the labels without images; an empty tuple if each label has one."""
    present = {sample.label for sample in samples}
    absent = [label for i, label in enumerate(labels) if i not in present]
    return (f"no image is labelled {', '.join(absent)}: nothing can be learnt of it here",) if absent else ()


def empty_folders(root: Path, folders: tuple[Path, ...], suffix: str) -> list[str]:
    """Return one line for each existing folder that contains no file with ``suffix`` at any depth."""
    return [
        f"{folder.relative_to(root).as_posix()}: the folder exists but contains no {suffix} file"
        for folder in folders
        if folder.is_dir() and not any(path.is_file() for path in folder.rglob(f"*{suffix}"))
    ]


def png_size(path: Path) -> tuple[int, int] | None:
    """Return width and height in pixels from a PNG's header (ISO/IEC 15948, 11.2.2); None for another file."""
    with path.open("rb") as file:
        head = file.read(24)
    if len(head) < 24 or head[12:16] != b"IHDR":
        return None
    return int.from_bytes(head[16:20], "big"), int.from_bytes(head[20:24], "big")
