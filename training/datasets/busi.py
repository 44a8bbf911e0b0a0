"""The published layout of the BUSI breast ultrasound pictures.

``Dataset_BUSI_with_GT/<benign|malignant|normal>/<label> (<number>).png``, and beside each picture its lesion
masks ``… (<number>)_mask.png``, ``…_mask_1.png``: white lesion on black, all black for normal. Masks are
never samples. No patient is named: pictures are kept together by what they show, see :func:`load`.

Source: Al-Dhabyani et al. 2020, Data in Brief 28:104863. That many pictures are there twice, some under two
labels: Pawłowska, Karwat & Żołek 2023, Data in Brief 48:109247.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from training.datasets.dataset import Dataset, Sample
from training.duplicates import SAME_SCAN, clusters
from training.errors import DatasetError

FOLDER = "Dataset_BUSI_with_GT"
LABELS = ("benign", "malignant", "normal")
_NAME = re.compile(r"(?P<stem>(?P<label>benign|malignant|normal) \([1-9]\d*\))(?P<mask>_mask(_[1-9]\d*)?)?\.png")
_SHOWN = 5


def load(root: Path) -> Dataset:
    """Read the layout below ``root``, which is the published folder or the folder that holds it.

    A sample's group is its cluster of near-same pictures, called by the first one's name; to find them all
    pictures are decoded. Pictures that cannot be decoded are a group each, so that reading them names them.

    Raises:
        DatasetError: no such folder, no pictures, pictures without a mask, masks without a picture, or a
            file whose name and folder contradict each other; all faults are counted, the first five named.
    """
    samples, passed_over = _scan(_find(root))
    found = clusters(samples, SAME_SCAN)
    grouped = (replace(sample, group=found.get(sample.name, sample.name)) for sample in samples)
    return Dataset(_find(root), LABELS, tuple(grouped), passed_over)


def masks_of(sample: Sample) -> tuple[Path, ...]:
    """Return the masks of a picture: ``_mask.png`` first, then ``_mask_1.png`` and so on."""
    found = (
        path
        for path in sample.path.parent.iterdir()
        if (match := _NAME.fullmatch(path.name)) and match["mask"] and match["stem"] == sample.path.stem
    )
    return tuple(sorted(found, key=lambda path: (len(path.name), path.name)))


def note(dataset: Dataset) -> str:
    """Return what to know of the groups of any BUSI data set."""
    return "no patient is named: groups are pictures of one scan, and a patient's other scans may be elsewhere"


def _find(root: Path) -> Path:
    for folder in (root / FOLDER, root):
        if any((folder / label).is_dir() for label in LABELS):
            return folder
    found = "no such folder" if not root.is_dir() else "no folder named benign, malignant or normal"
    raise DatasetError(
        f"{root}: found {found}, expected {FOLDER}/<benign|malignant|normal>/<label> (<number>).png. Download "
        "'Dataset of breast ultrasound images' (Al-Dhabyani et al. 2020), unpack it, and give the folder that holds it."
    )


def _scan(folder: Path) -> tuple[tuple[Sample, ...], tuple[str, ...]]:
    """Return the pictures, each a group of its own, and the names of files that are not PNG."""
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
    _refuse(folder, faults, len(samples))
    return tuple(sorted(samples)), tuple(passed_over)


def _unmatched(names: Iterable[str], others: Iterable[str], fault: str) -> list[str]:
    return [f"{name}: the picture {fault}" for name in sorted(set(names) - set(others))]


def _refuse(folder: Path, faults: list[str], pictures: int) -> None:
    if faults:
        shown = "\n  ".join(faults[:_SHOWN])
        raise DatasetError(
            f"{folder}: {len(faults)} files do not fit the published layout <label>/<label> (<number>).png with "
            f"<label>/<label> (<number>)_mask.png; the first:\n  {shown}\n"
            "Unpack the archive again, or move these files away."
        )
    if not pictures:
        raise DatasetError(f"{folder}: found no picture, expected <label>/<label> (1).png. Unpack the archive again.")
