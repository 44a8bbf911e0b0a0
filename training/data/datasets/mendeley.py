"""Loader of the published layout of the Mendeley mammograms with masses, made from INbreast.

``INbreast Dataset/<Density1..4><Benign|Malignant>/<source>.png``, 224×224 grey; the same source with CLAHE is
``<source> (2).png``, and higher numbers are further augmented copies. All copies of a source, and all sources
of one patient, are one group.

The archive names no patient. ``mendeley-groups.csv`` lists the patients, with a header and one line per source:
``source_id,label,laterality,view,acr,birads,patient_group``. Without this file each source is a group of its own, and
two views of one breast may be in different parts of a split; a note reports this.

Source: Huang & Lin 2020, doi 10.17632/x7bvzv6cvr.1; INbreast: Moreira et al. 2012, Acad Radiol 19:236.
"""

from __future__ import annotations

import enum
import re
from pathlib import Path

from edge_runtime.serialisation.csv_file import read_rows
from training.data.datasets.dataset import Dataset, Sample, Traits, absent_labels, empty_folders, refuse_faults
from training.errors import DatasetError

FOLDER = "INbreast Dataset"
GROUPS = "mendeley-groups.csv"
LABELS = tuple(f"Density{density}{kind}" for density in range(1, 5) for kind in ("Benign", "Malignant"))
_NAME = re.compile(r"(?P<source>\d+)( \((?P<copy>[1-9]\d*)\))?\.png")
_UNKNOWN = "source "
_NOTE = f"no {GROUPS} found: each source is a group, and one patient's may stand on both sides of a split"


class Variant(enum.Enum):
    """Processing of the source image."""

    PLAIN = "plain"
    CLAHE = "clahe"
    AUGMENTED = "augmented"


def load(root: Path, *, groups: Path | None = None) -> Dataset:
    """Read the layout below ``root``, which is the published folder or the folder that holds it.

    Files that are not PNG are skipped and listed.

    Args:
        root: the folder.
        groups: CSV file of the patients; by default ``mendeley-groups.csv`` in ``root`` or its parent, if it exists.

    Raises:
        DatasetError: the folder is missing or has no images, a file name has no source, a source has two labels, or
            ``groups`` lacks a source or has another label. The error counts all faults and names the first five.
    """
    folder = _find(root)
    patients = _patients(root, groups)
    samples: list[Sample] = []
    passed_over: list[str] = []
    faults: list[str] = []
    for path in sorted(p for label in LABELS for p in (folder / label).rglob("*") if p.is_file()):
        name = path.relative_to(folder).as_posix()
        if path.suffix.lower() != ".png":
            passed_over.append(name)
            continue
        sample = _sample(name, path, patients)
        if isinstance(sample, Sample):
            samples.append(sample)
        else:
            faults.append(sample)
    faults += empty_folders(folder, tuple(folder / label for label in LABELS), ".png")
    refuse_faults(
        folder,
        faults + _contradictions(samples),
        "places do not fit the published layout <Density1..4><Benign|Malignant>/<source>.png",
    )
    found = tuple(sorted(samples))
    notes = (*((_NOTE,) if patients is None else ()), *absent_labels(LABELS, found))
    grouped_by = "sources" if patients is None else "patients"
    traits = {sample.name: _traits(sample) for sample in found}
    return Dataset(folder, LABELS, found, tuple(passed_over), grouped_by, notes=notes, traits=traits)


def source_of(sample: Sample) -> str:
    """Return the id of the INbreast image that the sample was made from."""
    return sample.path.stem.split(" ")[0]


def variant_of(sample: Sample) -> Variant:
    """Return the processing of the source, from the number in the file's name."""
    match = _NAME.fullmatch(sample.path.name)
    copy = match["copy"] if match else None
    return {None: Variant.PLAIN, "2": Variant.CLAHE}.get(copy, Variant.AUGMENTED)


def _traits(sample: Sample) -> Traits:
    """Return the breast's density (ACR 1 fatty to 4 dense) and the processing of the source."""
    return ("density", LABELS[sample.label][len("Density")]), ("picture", variant_of(sample).value)


def _find(root: Path) -> Path:
    for folder in (root / FOLDER, root):
        if any((folder / label).is_dir() for label in LABELS):
            return folder
    found = "no such folder" if not root.is_dir() else "no folder named Density1Benign … Density4Malignant"
    raise DatasetError(
        f"{root}: found {found}, expected {FOLDER}/<Density1Benign …>/<source>.png. Download 'Dataset of Breast "
        "mammography images with Masses' (doi 10.17632/x7bvzv6cvr.1), unpack it, and give the folder that holds it."
    )


def _patients(root: Path, groups: Path | None) -> dict[str, tuple[str, str]] | None:
    """Return source → (label, patient); None if there is no file of patients."""
    places = (root / GROUPS, root.parent / GROUPS) if groups is None else (groups,)
    path = next((place for place in places if place.is_file()), None)
    if path is None and groups is not None:
        raise DatasetError(f"{groups}: found no such file, expected source_id,…,patient_group lines. Check the path.")
    if path is None:
        return None
    rows = [
        (row.fields["source_id"], (row.fields["label"], row.fields["patient_group"]))
        for row in read_rows(path, ["source_id,label,patient_group"], DatasetError)
    ]
    known = dict(rows)
    twice = sorted({source for source, who in rows if known[source] != who})
    if twice:
        raise DatasetError(
            f"{path}: found {len(twice)} sources with two labels or patients, the first {twice[0]}; expected one "
            "line per source. Restore the file."
        )
    return known


def _sample(name: str, path: Path, patients: dict[str, tuple[str, str]] | None) -> Sample | str:
    """Return the sample, or one line with the reason why the file does not match the layout."""
    label = name.split("/", maxsplit=1)[0]
    match = _NAME.fullmatch(path.name)
    if match is None or name != f"{label}/{path.name}":
        return f"{name}: expected {label}/<source>.png or {label}/<source> (<number>).png"
    source = match["source"]
    if patients is None:
        return Sample(name, path, LABELS.index(label), _UNKNOWN + source)
    if not all(patients.get(source, ("",))):
        return f"{name}: {GROUPS} has no patient_group for source {source}"
    if patients[source][0] != label:
        return f"{name}: {GROUPS} says {patients[source][0]}, the folder says {label}"
    return Sample(name, path, LABELS.index(label), patients[source][1])


def _contradictions(samples: list[Sample]) -> list[str]:
    """Return one line for each file whose source is also in another label's folder."""
    first: dict[str, Sample] = {}
    faults = []
    for sample in samples:
        other = first.setdefault(source_of(sample), sample)
        if other.label != sample.label:
            faults.append(f"{sample.name}: the same source has another label in {other.name}")
    return faults
