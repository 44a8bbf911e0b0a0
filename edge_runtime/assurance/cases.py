"""Labelled cases of a site, from a CSV file: which images belong to a case, what is true of it, and its subgroups.

The columns are ``case``, ``image`` (path below the folder of images) and ``label`` (``positive``, ``negative``, or a
label of the model), and ``region`` (x,y,radius in pixels) for a model that needs one. Each further column is a
subgroup, such as ``scanner``. A case has one line for each image, and the same label and subgroups in all of them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from edge_runtime.bundle.spec import ModelSpec
from edge_runtime.errors import CasesError, RegionError
from edge_runtime.images.region import Region
from edge_runtime.serialisation.csv_file import CsvRow, read_rows
from edge_runtime.serialisation.records import canonical_json

HEADER = "case,image,label"
_OWN = (*HEADER.split(","), "region")
_TRUTHS = {"positive": True, "negative": False}


@dataclass(frozen=True)
class CaseImage:
    """One image of a case.

    Attributes:
        path: path below the folder of images, with ``/``.
        sha256: SHA-256 (hex) of the file's bytes.
        region: the marked region as ``x,y,radius``; None for a model of whole images.
    """

    path: str
    sha256: str
    region: str | None = None


@dataclass(frozen=True)
class Case:
    """A patient, an examination or a lesion: the unit that is counted.

    Attributes:
        name: the site's name of the case.
        positive: whether the finding that the model looks for is there.
        images: one or more.
        groups: subgroup → value, such as ``scanner`` → ``A``.
    """

    name: str
    positive: bool
    images: tuple[CaseImage, ...]
    groups: dict[str, str]


def read_cases(file: Path, folder: Path, spec: ModelSpec) -> tuple[Case, ...]:
    """Return the cases in a CSV file, in the order in which they appear.

    Args:
        file: the CSV file.
        folder: folder that contains the images.
        spec: of the model that is to be accepted.

    Raises:
        CasesError: the file is no such list: a column or an image is missing, an image occurs twice, a label is
            unknown, or the lines of a case contradict each other.
    """
    if not file.is_file():
        raise CasesError(
            f"{file}: found no file, expected a CSV file with the columns {HEADER}. Name the list of cases."
        )
    rows = read_rows(file, [HEADER], CasesError)
    if not rows:
        raise CasesError(f"{file}: found no case below the header, expected one line for each image.")
    seen: dict[tuple[str, str | None], int] = {}
    cases: dict[str, Case] = {}
    for row in rows:
        where = f"{file}, line {row.line}"
        image = _image(row, folder, spec, where)
        if (first := seen.setdefault((image.sha256, image.region), row.line)) != row.line:
            raise CasesError(f"{where}: found the image of line {first} again, expected each once. Remove one line.")
        case = _case(row, image, spec, where)
        known = cases.get(case.name)
        if known is not None and (known.positive, known.groups) != (case.positive, case.groups):
            raise CasesError(
                f"{where}: found another label or subgroup than in the lines of the same case before, expected one for "
                "the whole case. Correct it."
            )
        images = (*known.images, image) if known is not None else (image,)
        cases[case.name] = Case(case.name, case.positive, images, case.groups)
    return tuple(cases.values())


def cases_hash(cases: Sequence[Case]) -> str:
    """Return the SHA-256 (hex) of names, labels, subgroups, regions and file hashes of all cases."""
    return hashlib.sha256(canonical_json(cases).encode("ascii")).hexdigest()


def _case(row: CsvRow, image: CaseImage, spec: ModelSpec, where: str) -> Case:
    name = row.fields["case"].strip()
    if not name:
        raise CasesError(f"{where}: found no name of a case, expected one. Fill the column case.")
    groups = {key: value.strip() for key, value in row.fields.items() if key and key not in _OWN}
    return Case(name, _truth(row.fields["label"].strip(), spec, where), (image,), groups)


def _truth(label: str, spec: ModelSpec, where: str) -> bool:
    if label in spec.labels:
        return label in spec.positive
    if label.lower() in _TRUTHS:
        return _TRUTHS[label.lower()]
    *known, last = ("positive", "negative", *spec.labels)
    raise CasesError(f"{where}: found an unknown label, expected {', '.join(known)} or {last}.")


def _image(row: CsvRow, folder: Path, spec: ModelSpec, where: str) -> CaseImage:
    name = row.fields["image"].strip().replace("\\", "/")
    path = folder / name
    if not name or not path.is_file() or not path.resolve().is_relative_to(folder.resolve()):
        raise CasesError(
            f"{where}: found no image of this name below {folder}, expected a file. Correct the column image."
        )
    return CaseImage(name, hashlib.sha256(path.read_bytes()).hexdigest(), _region(row, spec, where))


def _region(row: CsvRow, spec: ModelSpec, where: str) -> str | None:
    text = row.fields.get("region", "").strip()
    if spec.region is None:
        if text:
            raise CasesError(f"{where}: found a region, expected none: {spec.name} classifies whole images.")
        return None
    if not text:
        raise CasesError(f"{where}: found no region, expected x,y,radius: {spec.name} classifies marked regions.")
    try:
        return str(Region.parse(text))
    except RegionError as error:
        raise CasesError(f"{where}: {error.message}") from None
