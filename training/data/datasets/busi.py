"""Loader of the published layout of the BUSI breast ultrasound images.

``Dataset_BUSI_with_GT/<benign|malignant|normal>/<label> (<number>).png``, and beside each image its lesion
masks ``… (<number>)_mask.png``, ``…_mask_1.png``: white lesion on black, all black for normal. Masks are
never samples. The archive names no patient: images are grouped by near copies, see :func:`load`.

Source: Al-Dhabyani et al. 2020, Data in Brief 28:104863. Many images are duplicated, some with two
labels: Pawłowska, Karwat & Żołek 2023, Data in Brief 48:109247.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from statistics import median

from training.data.audit.duplicates import SAME_SCAN, DuplicateSearch, compare
from training.data.audit.groups import comparison_notes, contradicted_names
from training.data.datasets import burnt_in
from training.data.datasets.dataset import (
    Dataset,
    Sample,
    Traits,
    absent_labels,
    empty_folders,
    png_size,
    refuse_faults,
)
from training.errors import DatasetError

FOLDER = "Dataset_BUSI_with_GT"
LABELS = ("benign", "malignant", "normal")
_NAME = re.compile(r"(?P<stem>(?P<label>benign|malignant|normal) \([1-9]\d*\))(?P<mask>_mask(_[1-9]\d*)?)?\.png")
_GROUPS = "no patient is named: groups are images of one scan, and a patient's other scans may be elsewhere"


def load(root: Path) -> Dataset:
    """Read the layout below ``root``, which is the published folder or the folder that holds it.

    A sample's group is its cluster of near copies, named by the cluster's first image. All images are decoded and
    compared once to find the clusters. An image that cannot be decoded is a group of its own; it stays in the set, so
    that later readers report it.

    Raises:
        DatasetError: the folder is missing or has no images, a class folder is empty, an image has no mask, a mask has
            no image, or name and folder of a file contradict each other. The error counts all faults and names the
            first five.
    """
    dataset = read(root)
    return _with_marks(clustered(dataset, compare(dataset.samples, SAME_SCAN)))


def read(root: Path) -> Dataset:
    """Read the layout like :func:`load`, but keep each image as a group of its own; no image is decoded."""
    folder = _find(root)
    samples, passed_over, masks = _scan(folder)
    notes = (f"{masks} lesion masks are not samples", *absent_labels(LABELS, samples))
    traits = _traits(samples)
    return Dataset(folder, LABELS, samples, passed_over, grouped_by="pictures", notes=notes, traits=traits)


def clustered(dataset: Dataset, comparison: DuplicateSearch) -> Dataset:
    """Return the data set of :func:`read` with the clusters of a comparison at ``SAME_SCAN`` as groups."""
    found = comparison.clusters()
    return replace(
        dataset,
        samples=tuple(replace(sample, group=found.get(sample.name, sample.name)) for sample in dataset.samples),
        grouped_by="clusters of near-same images",
        contradicted=contradicted_names(comparison),
        notes=(*dataset.notes, _GROUPS, *comparison_notes(comparison)),
        near=comparison.counts(),
    )


def _with_marks(dataset: Dataset) -> Dataset:
    """Add the burnt-in marks to the traits of each image, and the count by label to the notes."""
    found = {sample.name: trait for sample in dataset.samples if (trait := burnt_in.trait(sample)) is not None}
    marks = burnt_in.NAME, burnt_in.WITH
    marked = Counter(sample.label for sample in dataset.samples if found.get(sample.name) == marks)
    all_of = Counter(sample.label for sample in dataset.samples)
    shares = ", ".join(f"{marked[i]} of {all_of[i]} {label}" for i, label in enumerate(LABELS))
    traits = {name: (*known, found[name]) if name in found else known for name, known in dataset.traits.items()}
    return replace(dataset, traits=traits, notes=(*dataset.notes, f"marks are burnt into {shares} images"))


def _traits(samples: tuple[Sample, ...]) -> dict[str, Traits]:
    """Return name → traits: label, and size relative to the median (scanners crop differently)."""
    sizes = {sample.name: size[0] * size[1] for sample in samples if (size := png_size(sample.path)) is not None}
    middle = median(sizes.values()) if sizes else 0
    small, large = (f"{side} the median of {middle:.0f} px" for side in ("up to", "above"))
    return {
        sample.name: (
            ("label", LABELS[sample.label]),
            *((("size", small if sizes[sample.name] <= middle else large),) if sample.name in sizes else ()),
        )
        for sample in samples
    }


def masks_of(sample: Sample) -> tuple[Path, ...]:
    """Return the paths of an image's masks: ``_mask.png`` first, then ``_mask_1.png`` and so on."""
    found = (
        path
        for path in sample.path.parent.iterdir()
        if (match := _NAME.fullmatch(path.name)) and match["mask"] and match["stem"] == sample.path.stem
    )
    return tuple(sorted(found, key=lambda path: (len(path.name), path.name)))


def _find(root: Path) -> Path:
    for folder in (root / FOLDER, root):
        if any((folder / label).is_dir() for label in LABELS):
            return folder
    found = "no such folder" if not root.is_dir() else "no folder named benign, malignant or normal"
    raise DatasetError(
        f"{root}: found {found}, expected {FOLDER}/<benign|malignant|normal>/<label> (<number>).png. Download "
        "'Dataset of breast ultrasound images' (Al-Dhabyani et al. 2020), unpack it, and give the folder that holds it."
    )


def _scan(folder: Path) -> tuple[tuple[Sample, ...], tuple[str, ...], int]:
    """Return the images, each a group of its own, the names of files that are not PNG, and the count of masks."""
    samples: list[Sample] = []
    masks: list[str] = []
    passed_over: list[str] = []
    faults: list[str] = []
    for path in sorted(p for label in LABELS for p in (folder / label).rglob("*") if p.is_file()):
        name = path.relative_to(folder).as_posix()
        match = _NAME.fullmatch(path.name)
        if path.suffix.lower() != ".png":
            passed_over.append(name)
        elif match is None or name != f"{match['label']}/{path.name}":
            faults.append(f"{name}: expected {name.split('/')[0]}/{name.split('/')[0]} (<number>).png or …_mask.png")
        elif match["mask"]:
            masks.append(f"{match['label']}/{match['stem']}.png")
        else:
            samples.append(Sample(name, path, LABELS.index(match["label"]), name))
    names = [sample.name for sample in samples]
    faults += _unmatched(names, masks, "has no mask") + _unmatched(masks, names, "is missing, its mask is there")
    faults += empty_folders(folder, tuple(folder / label for label in LABELS), ".png")
    refuse_faults(
        folder,
        faults,
        "places do not fit the published layout <label>/<label> (<number>).png with "
        "<label>/<label> (<number>)_mask.png",
    )
    return tuple(sorted(samples)), tuple(passed_over), len(masks)


def _unmatched(names: Iterable[str], others: Iterable[str], fault: str) -> list[str]:
    return [f"{name}: the image {fault}" for name in sorted(set(names) - set(others))]
