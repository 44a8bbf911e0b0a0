"""Loader of the published layout of the IDC histopathology patches.

``IDC_regular_ps50_idx5/<patient>/<0|1>/<patient>_idx5_x<X>_y<Y>_class<0|1>.png``: H&E patches of at
most 50×50 px. 0 is benign tissue, 1 is invasive ductal carcinoma. x and y are the upper left corner of the
patch in the slide, in pixels. Patches at the edge of a slide are smaller.

Source: Janowczyk & Madabhushi 2016, J Pathol Inform 7:29; Cruz-Roa et al. 2014, Proc SPIE 9041.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from statistics import median

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

FOLDER = "IDC_regular_ps50_idx5"
LABELS = ("benign", "malignant")
_NAME = re.compile(r"(?P<patient>\d+)_idx5_x(?P<x>\d+)_y(?P<y>\d+)_class(?P<label>[01])\.png")
PATCH_PX = 50
"""Pitch of the grid of patches, in pixels, along both axes."""

_WHOLE_PX = (PATCH_PX, PATCH_PX)


def load(root: Path) -> Dataset:
    """Read the layout below ``root``, which is the published folder or the folder that holds it.

    Files that are not PNG are skipped and listed.

    Raises:
        DatasetError: the folder is missing, has no patients or has an empty patient or class folder; or name, folder
            and label of a file contradict each other. The error counts all faults and names the first five.
    """
    folder = _find(root)
    faults: list[str] = []
    passed_over: list[str] = []
    samples: list[Sample] = []
    for path in _files(folder):
        name = path.relative_to(folder).as_posix()
        if path.suffix.lower() != ".png":
            passed_over.append(name)
            continue
        sample = _sample(name, path)
        if isinstance(sample, Sample):
            samples.append(sample)
        else:
            faults.append(sample)
    refuse_faults(
        folder,
        faults + _contradictions(samples) + empty_folders(folder, _classes(folder), ".png"),
        "places do not fit the published layout <patient>/<0|1>/<patient>_idx5_x<X>_y<Y>_class<0|1>.png",
    )
    found = tuple(sorted(samples))
    notes = absent_labels(LABELS, found)
    return Dataset(folder, LABELS, found, tuple(passed_over), notes=notes, traits=_traits(found))


def place_of(name: str) -> tuple[int, int] | None:
    """Return x and y of a patch's upper left corner in the slide, in pixels; None if the name contains no position."""
    match = _NAME.fullmatch(name.rsplit("/", 1)[-1])
    return None if match is None else (int(match["x"]), int(match["y"]))


def _traits(samples: tuple[Sample, ...]) -> dict[str, Traits]:
    """Return name → traits: the patient's patch count relative to the median, and whether the patch is whole.

    Large slides have large tumours. A patch at a slide's edge is smaller, and is stretched to the network's input size.
    """
    counts = Counter(sample.group for sample in samples)
    middle = median(counts.values()) if counts else 0
    few, many = (f"{side} the median of {middle:g}" for side in ("up to", "above"))
    return {
        sample.name: (
            ("patches of the patient", few if counts[sample.group] <= middle else many),
            *((("patch", "whole" if size == _WHOLE_PX else "at an edge"),) if (size := png_size(sample.path)) else ()),
        )
        for sample in samples
    }


def _find(root: Path) -> Path:
    for folder in (root / FOLDER, root):
        if folder.is_dir() and any(entry.is_dir() and entry.name.isdigit() for entry in folder.iterdir()):
            return folder
    found = "no such folder" if not root.is_dir() else "no folder named by a patient number"
    raise DatasetError(
        f"{root}: found {found}, expected {FOLDER}/<patient>/<0|1>/*.png. Download 'Breast Histopathology "
        "Images' (Janowczyk & Madabhushi 2016), unpack it, and give the folder that holds it; or make "
        "synthetic patches in this layout with: python -m training phantoms --out DIR"
    )


def _patients(folder: Path) -> list[Path]:
    """Return the patients' folders, without the archive's second copy of the whole set beside them."""
    return sorted(entry for entry in folder.iterdir() if entry.is_dir() and entry.name.isdigit())


def _files(folder: Path) -> Iterator[Path]:
    """Yield all files below the patients' folders, ``<patient>/<label>/<file>``, sorted."""
    for patient in _patients(folder):
        yield from sorted(path for path in patient.rglob("*") if path.is_file())


def _classes(folder: Path) -> tuple[Path, ...]:
    """Return the class folders, and the folders of patients without a class folder."""
    found: list[Path] = []
    for patient in _patients(folder):
        found += sorted(entry for entry in patient.iterdir() if entry.is_dir()) or [patient]
    return tuple(found)


def _sample(name: str, path: Path) -> Sample | str:
    """Return the sample, or one line with the reason why the file does not match the layout."""
    parts = name.split("/")
    if len(parts) != 3 or parts[1] not in ("0", "1"):
        return f"{name}: found at depth {len(parts)}, expected <patient>/<0|1>/<file>"
    match = _NAME.fullmatch(parts[2])
    if match is None:
        return f"{name}: the file name has no patient, x, y and class"
    if match["patient"] != parts[0]:
        return f"{name}: the name says patient {match['patient']}, the folder says {parts[0]}"
    if match["label"] != parts[1]:
        return f"{name}: the name says class {match['label']}, the folder says {parts[1]}"
    return Sample(name, path, int(parts[1]), parts[0])


def _contradictions(samples: list[Sample]) -> list[str]:
    """Return one line for each position of a slide that has both labels."""
    seen: dict[str, Sample] = {}
    faults = []
    for sample in samples:
        place = Path(sample.name).name.rsplit("_class", 1)[0]
        first = seen.setdefault(place, sample)
        if first is not sample:
            faults.append(f"{sample.name}: the same position has another label in {first.name}")
    return faults
