"""Loader of the published layout of the BUS-BRA breast ultrasound images.

``BUSBRA/Images/bus_0001-l.png``, the lesion mask ``Masks/mask_0001-l.png`` (white lesion on black), and
``bus_data.csv`` with a line for each image: ID, Case (the patient), Pathology, BIRADS, Device and more.

Source: Gómez-Flores et al. 2024, Medical Physics 51:3110, doi 10.1002/mp.16812.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from edge_runtime.serialisation.csv_file import CsvRow, read_rows
from training.data.datasets.dataset import BI_RADS, SCANNER, SITE, Dataset, Sample, Traits, absent_labels, refuse_faults
from training.errors import DatasetError

FOLDER = "BUSBRA"
TABLE = "bus_data.csv"
LABELS = ("benign", "malignant")
BRAZIL = "Brazil (BUS-BRA)"
_NAME = re.compile(r"bus_(?P<stem>\d+-[a-z]+)\.png")
_MASK = re.compile(r"mask_(?P<stem>\d+-[a-z]+)\.png")


def load(root: Path) -> Dataset:
    """Read the layout below ``root``, which is the published folder or the folder that holds it.

    Files that are not PNG are skipped and listed, and so are lines of ``bus_data.csv`` without an image.

    Raises:
        DatasetError: the folder or ``bus_data.csv`` is missing, a line of it has no patient, label or scanner, or an
            image has no line or no mask. The error counts all faults and names the first five.
    """
    folder = _find(root)
    rows, faults = _read_table(folder / TABLE)
    images, masks, passed_over, strange = _files(folder)
    faults += strange
    faults += [f"{_image(stem)}: no line in {TABLE} has this ID" for stem in sorted(images - set(rows))]
    faults += [f"{_image(stem)}: the image has no mask" for stem in sorted(images - masks)]
    faults += [f"{_image(stem)}: the image is missing, its mask is there" for stem in sorted(masks - images)]
    _refuse(folder, faults, len(images))
    samples = tuple(
        sorted(
            Sample(
                _image(stem), folder / _image(stem), LABELS.index(rows[stem]["pathology"].lower()), rows[stem]["case"]
            )
            for stem in images
        )
    )
    absent = tuple(f"{_image(stem)}: named in {TABLE}, not in the folder" for stem in sorted(set(rows) - images))
    notes = (f"{len(masks)} lesion masks are not samples", *absent_labels(LABELS, samples))
    traits = {_image(stem): _traits(rows[stem]) for stem in sorted(images)}
    return Dataset(folder, LABELS, samples, (*passed_over, *absent), notes=notes, traits=traits)


def masks_of(sample: Sample) -> tuple[Path, ...]:
    """Return the path of an image's mask; an empty tuple if the image is not of this set."""
    match = _NAME.fullmatch(sample.path.name)
    return () if match is None else (sample.path.parent.parent / "Masks" / f"mask_{match['stem']}.png",)


def _image(stem: str) -> str:
    return f"Images/bus_{stem}.png"


def _find(root: Path) -> Path:
    for folder in (root / FOLDER, root):
        if (folder / TABLE).is_file() and (folder / "Images").is_dir():
            return folder
    found = f"no {TABLE} beside a folder named Images" if root.is_dir() else "no such folder"
    raise DatasetError(
        f"{root}: found {found}, expected {FOLDER}/{TABLE}, {FOLDER}/Images/bus_0001-l.png … and {FOLDER}/Masks. "
        "Download BUS-BRA (Gómez-Flores et al. 2024), unpack it, and give the folder that holds it."
    )


def _read_table(path: Path) -> tuple[dict[str, dict[str, str]], list[str]]:
    """Return number and side of an image (``0001-l``) → its fields, and one message for each line with a fault."""
    rows: dict[str, dict[str, str]] = {}
    faults = []
    for row in read_rows(path, ["id,case,pathology,device"], DatasetError):
        fields = {name: value.strip() for name, value in row.fields.items()}
        match = _NAME.fullmatch(f"{fields['id']}.png")
        if match is None:
            faults.append(_fault(row, f"found the ID {fields['id']!r}, expected bus_<number>-<side>"))
        elif match["stem"] in rows:
            faults.append(_fault(row, f"the ID {fields['id']} has a line already"))
        elif fields["pathology"].lower() not in LABELS:
            faults.append(_fault(row, f"found the pathology {fields['pathology']!r}, expected benign or malignant"))
        elif not (fields["case"] and fields["device"]):
            faults.append(_fault(row, "found no Case or no Device, expected both"))
        else:
            rows[match["stem"]] = fields
    return rows, faults


def _fault(row: CsvRow, text: str) -> str:
    return f"{TABLE} line {row.line}: {text}"


def _files(folder: Path) -> tuple[set[str], set[str], tuple[str, ...], list[str]]:
    """Return number and side of the images and of the masks, names of other files, and faults."""
    images, masks = set[str](), set[str]()
    passed_over: list[str] = []
    faults: list[str] = []
    for path in _below(folder, ("Images", "Masks")):
        name = path.relative_to(folder).as_posix()
        pattern, found = (_NAME, images) if path.parent.name == "Images" else (_MASK, masks)
        match = pattern.fullmatch(path.name)
        if path.suffix.lower() != ".png":
            passed_over.append(name)
        elif match is None:
            kind = "bus" if pattern is _NAME else "mask"
            faults.append(f"{name}: expected {path.parent.name}/{kind}_<number>-<side>.png")
        else:
            found.add(match["stem"])
    return images, masks, tuple(passed_over), faults


def _below(folder: Path, names: Iterable[str]) -> list[Path]:
    folders = (folder / name for name in names)
    return sorted(path for found in folders if found.is_dir() for path in found.iterdir() if path.is_file())


def _traits(fields: Mapping[str, str]) -> Traits:
    """Return site, scanner (without the probe's frequencies, as in ``GE Logiq 7 @10-14MHz``) and BI-RADS if given."""
    scanner = fields["device"].split("@")[0].strip()
    category = fields.get("birads", "")
    return (SITE, BRAZIL), (SCANNER, scanner), *(((BI_RADS, category),) if category else ())


def _refuse(folder: Path, faults: list[str], images: int) -> None:
    refuse_faults(
        folder,
        faults,
        "faults against the published layout Images/bus_<number>-<side>.png with "
        f"Masks/mask_<number>-<side>.png and {TABLE}",
    )
    if not images:
        raise DatasetError(f"{folder}: found no image, expected Images/bus_0001-l.png …. Unpack the archive again.")
