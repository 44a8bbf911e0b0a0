"""Loader of the published layout of the BrEaST breast ultrasound images.

``BrEaST-Lesions_USG-images_and_masks/case001.png``, beside each image the mask of its lesion ``case001_tumor.png`` and
masks of other findings ``case001_other1.png``; and beside the folder the clinical table
``BrEaST-Lesions-USG-clinical-data-<date>.xlsx`` with a line for each patient. Only ``_tumor`` masks are lesions. About
one image in ten is partly transparent, and the runtime rejects it; such an image stays in the set, so that later
readers report it.

Source: Pawłowska et al. 2024, Scientific Data 11:148, doi 10.1038/s41597-024-02984-z.
"""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterator
from pathlib import Path

from training.data.datasets.dataset import BI_RADS, SCANNER, SITE, Dataset, Sample, Traits, absent_labels, refuse_faults
from training.errors import DatasetError

FOLDER = "BrEaST-Lesions_USG-images_and_masks"
TABLE = "BrEaST-Lesions-USG-clinical-data*.xlsx"
LABELS = ("benign", "malignant", "normal")
POLAND = "Poland (BrEaST)"
NOT_RECORDED = "not recorded (BrEaST)"
"""The set names five scanners of four makers, and does not say which one made an image."""

_NAME = re.compile(r"(?P<stem>case\d+)(?P<mask>_(?P<kind>tumor|other)\d*)?\.png")
_COLUMNS = ("CaseID", "Image_filename", "Classification")


def load(root: Path) -> Dataset:
    """Read the layout below ``root``, which is the published folder or the folder that holds it and the table.

    Files that are not PNG are skipped and listed, and so are lines of the table without an image.

    Raises:
        DatasetError: the folder or the table is missing, openpyxl is not installed, a line of the table has no patient
            or label, an image has no line, or an image and its masks contradict each other. The error counts all
            faults and names the first five.
    """
    folder = _find(root)
    table = _table(folder)
    rows, faults = _read_table(table)
    images, tumours, others, passed_over, strange = _files(folder)
    faults += strange
    faults += [f"{stem}.png: no line of the table has this Image_filename" for stem in sorted(images - set(rows))]
    faults += [f"{stem}.png: the image is missing, its mask is there" for stem in sorted((tumours | others) - images)]
    for stem in sorted(images & set(rows)):
        if (stem in tumours) == (rows[stem][1] == "normal"):
            has = "a" if stem in tumours else "no"
            faults.append(f"{stem}.png: the image is {rows[stem][1]} in the table and has {has} mask {stem}_tumor.png")
    _refuse(folder, faults, len(images))
    samples = tuple(
        sorted(Sample(f"{s}.png", folder / f"{s}.png", LABELS.index(rows[s][1]), rows[s][0]) for s in images)
    )
    absent = tuple(f"{stem}.png: named in {table.name}, not in the folder" for stem in sorted(set(rows) - images))
    notes = (f"{len(tumours)} images have lesion masks, which are not samples", *absent_labels(LABELS, samples))
    traits: dict[str, Traits] = {
        sample.name: (
            (SITE, POLAND),
            (SCANNER, NOT_RECORDED),
            *(((BI_RADS, rows[sample.path.stem][2]),) if rows[sample.path.stem][2] else ()),
        )
        for sample in samples
    }
    return Dataset(folder, LABELS, samples, (*passed_over, *absent), notes=notes, traits=traits)


def masks_of(sample: Sample) -> tuple[Path, ...]:
    """Return the paths of an image's lesion masks, sorted; an empty tuple if it is normal or not of this set."""
    match = _NAME.fullmatch(sample.path.name)
    if match is None or match["mask"]:
        return ()
    found = (path for path in sample.path.parent.glob(f"{match['stem']}_tumor*.png") if _NAME.fullmatch(path.name))
    return tuple(sorted(found, key=lambda path: (len(path.name), path.name)))


def _find(root: Path) -> Path:
    for folder in (root / FOLDER, root):
        if folder.is_dir() and any(_NAME.fullmatch(path.name) for path in folder.iterdir()):
            return folder
    found = f"no folder {FOLDER} and no image case001.png" if root.is_dir() else "no such folder"
    raise DatasetError(
        f"{root}: found {found}, expected {FOLDER}/case001.png … and {TABLE} beside the folder. Download "
        "BrEaST-Lesions-USG (Pawłowska et al. 2024) with its clinical data, unpack it, and give the folder that holds "
        "both."
    )


def _table(folder: Path) -> Path:
    """Return the clinical table: beside the folder, or in it."""
    found = sorted(path for place in (folder.parent, folder) for path in place.glob(TABLE))
    if len(found) == 1:
        return found[0]
    several = ", ".join(path.name for path in found) or "none"
    raise DatasetError(
        f"{folder}: found {several}, expected one table {TABLE} beside this folder or in it. It holds the labels: "
        "download the clinical data (Pawłowska et al. 2024), and keep one version."
    )


def _read_table(path: Path) -> tuple[dict[str, tuple[str, str, str]], list[str]]:
    """Return stem of an image's name → patient, label and BI-RADS (empty if not given), and one message per fault."""
    lines = _lines(path)
    header = next(lines, [])
    if missing := [name for name in _COLUMNS if name not in header]:
        raise DatasetError(
            f"{path}: found no column {', '.join(missing)} in the first line, expected {', '.join(_COLUMNS)}. "
            "Download the clinical data again."
        )
    rows: dict[str, tuple[str, str, str]] = {}
    faults = []
    for number, line in enumerate(lines, start=2):
        if not any(line):
            continue
        fields = dict(zip(header, line, strict=False))
        patient, image, label = (fields.get(name, "") for name in _COLUMNS)
        match = _NAME.fullmatch(image)
        if match is None or match["mask"]:
            faults.append(f"{path.name} line {number}: found the image {image!r}, expected case<number>.png")
        elif match["stem"] in rows:
            faults.append(f"{path.name} line {number}: {image} has a line already")
        elif not patient or label.lower() not in LABELS:
            faults.append(
                f"{path.name} line {number}: found CaseID {patient!r} and classification {label!r}, expected a number, "
                "and benign, malignant or normal"
            )
        else:
            rows[match["stem"]] = patient, label.lower(), fields.get("BIRADS", "")
    return rows, faults


def _lines(path: Path) -> Iterator[list[str]]:
    """Yield the lines of the workbook's first sheet as text; an empty cell is an empty string.

    Raises:
        DatasetError: openpyxl is not installed, or the file is no workbook.
    """
    try:
        import openpyxl  # here, so that every other data set can be read without it
    except ImportError:
        raise DatasetError(
            f"{path}: found no openpyxl in this environment, expected it to read the table. "
            "It is in the extra 'dev': pip install -e '.[dev]', or pip install openpyxl."
        ) from None
    try:
        book = openpyxl.load_workbook(path, read_only=True, data_only=True)
    except (zipfile.BadZipFile, KeyError, ValueError, openpyxl.utils.exceptions.InvalidFileException) as error:
        raise DatasetError(f"{path}: found no Excel workbook ({error}), expected one. Download it again.") from None
    try:
        for row in book.worksheets[0].iter_rows(values_only=True):
            yield ["" if cell is None else str(cell).strip() for cell in row]
    finally:
        book.close()


def _files(folder: Path) -> tuple[set[str], set[str], set[str], tuple[str, ...], list[str]]:
    """Return stems of images, of images with a lesion mask and with another mask, other files, and faults."""
    found: dict[str | None, set[str]] = {None: set(), "tumor": set(), "other": set()}
    passed_over: list[str] = []
    faults: list[str] = []
    for path in sorted(path for path in folder.iterdir() if path.is_file()):
        match = _NAME.fullmatch(path.name)
        if path.suffix.lower() != ".png":
            if not path.match(TABLE):
                passed_over.append(path.name)
        elif match is None:
            faults.append(f"{path.name}: expected case<number>.png, …_tumor.png or …_other<number>.png")
        else:
            found[match["kind"]].add(match["stem"])
    return found[None], found["tumor"], found["other"], tuple(passed_over), faults


def _refuse(folder: Path, faults: list[str], images: int) -> None:
    refuse_faults(
        folder,
        faults,
        f"faults against the published layout case<number>.png with case<number>_tumor.png and {TABLE}",
    )
    if not images:
        raise DatasetError(f"{folder}: found no image, expected case001.png …. Unpack the archive again.")
