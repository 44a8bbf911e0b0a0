"""Encoded image files from a folder or a list, and a sample of them if all would not fit into memory.

A list, ``samples.csv``, has lines ``name,sha256``, and of parity images also a column ``label``. They name files of a
published data set in another folder. A name may end with ``@x,y,radius``, a region of that file. The SHA-256 is always
that of the whole file.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np

from edge_runtime.images.region import Region, split_name
from edge_runtime.serialisation.csv_file import CsvRow, read_rows
from export.errors import CalibrationError
from export.source.file_signatures import HEAD_BYTES, fault_of, is_stand_in

LIST = "samples.csv"


@dataclass(frozen=True)
class EncodedImage:
    """An encoded image file that is not read yet.

    Attributes:
        name: name in the list, or path relative to the folder; with the region if it has one.
        sha256: from the list, lower case; empty for images of a folder.
        label: from the list; empty if it has no column ``label``.
    """

    name: str
    path: Path
    sha256: str = ""
    label: str = ""

    def read(self) -> bytes:
        """Return the content of the file.

        Raises:
            CalibrationError: its SHA-256 differs from the one in the list.
        """
        data = self.path.read_bytes()
        if self.sha256 and hashlib.sha256(data).hexdigest() != self.sha256:
            if is_stand_in(data[:HEAD_BYTES]):
                fault = fault_of(data[:HEAD_BYTES])
                raise CalibrationError(f"{self.path}: found {fault.found}, expected an image. {fault.remedy}")
            raise CalibrationError(f"{self.path}: not the file that {LIST} names (SHA-256 differs). Unpack it again.")
        return data


def spread(files: Sequence[EncodedImage], most: int) -> list[EncodedImage]:
    """Return at most ``most`` files: all, or one from each of ``most`` runs of equal length, in the same order.

    From each run, take the file whose name has the smallest SHA-256. With a fixed step and alternating views, the
    sample could contain only one view of every patient. The choice depends on the names only.
    """
    if len(files) <= most:
        return list(files)
    ends = np.linspace(0, len(files), most + 1).round().astype(int).tolist()
    return [min(files[start:end], key=_rank) for start, end in pairwise(ends)]


def _rank(file: EncodedImage) -> str:
    return hashlib.sha256(file.name.encode("utf-8", "surrogateescape")).hexdigest()


def list_in(folder: Path) -> Path | None:
    """Return the list that ``folder`` is or contains; None if it contains none.

    Raises:
        CalibrationError: the folder contains a list under another name only, such as ``samples.csv.txt``.
    """
    if folder.is_file():
        return folder
    if not folder.is_dir():
        return None
    names = sorted(child.name for child in folder.iterdir() if child.name.casefold().startswith(LIST))
    found = next((name for name in names if name.casefold() == LIST), None)
    if found is None and names:
        raise CalibrationError(f"{folder}: found {names[0]}, expected {LIST}. Rename it to {LIST}.")
    return None if found is None else folder / found


def listed(path: Path, data: Path) -> list[EncodedImage]:
    """Find the files that the list at ``path`` names in the data set ``data``, in the list's order.

    Raises:
        CalibrationError: the list is invalid, names a file or a content twice, or names a missing file.
    """
    found: list[EncodedImage] = []
    lines: dict[tuple[Path | str, Region | None], CsvRow] = {}
    for row in read_rows(path, ["name,sha256"], CalibrationError):
        name, sha256 = _named(path, row)
        file, region = split_name(name)
        place = _below(data, file, path)
        _check_new(path, row, lines.setdefault((place, region), row), "again")
        _check_new(path, row, lines.setdefault((sha256, region), row), "with the SHA-256 of the image")
        found.append(EncodedImage(name, place, sha256, row.fields.get("label", "").strip()))
    return found


def _check_new(path: Path, row: CsvRow, first: CsvRow, how: str) -> None:
    """Refuse a line for the image of an earlier line ``first``."""
    if first is row:
        return
    labels = [each.fields.get("label", "").strip() for each in (first, row)]
    two = f", with the labels {labels[0]} and {labels[1]}" if labels[0] != labels[1] else ""
    raise CalibrationError(
        f"{path}, line {row.line}: found {row.fields['name']} {how}, which line {first.line} names{two}, expected each "
        "once. Remove one of the two lines."
    )


def _named(path: Path, row: CsvRow) -> tuple[str, str]:
    """Return the name and the SHA-256 (lower case) of one line."""
    name, sha256 = row.fields["name"], row.fields["sha256"].strip().lower()
    if not name.strip():
        raise CalibrationError(
            f"{path}, line {row.line}: found no name, expected a file name. Add it or remove the line."
        )
    if not re.fullmatch("[0-9a-f]{64}", sha256):
        raise CalibrationError(
            f"{path}, line {row.line}: found {sha256[:70]!r}, expected a SHA-256 of 64 hexadecimal digits. "
            "sha256sum FILE, or Get-FileHash FILE, prints it."
        )
    return name, sha256


def _below(data: Path, name: str, path: Path) -> Path:
    r"""Find ``name`` in the folder ``data`` or in one of its direct subfolders.

    A name may use ``\`` between folders, as on Windows, or another Unicode normalisation form (NFC or NFD).
    """
    slashed = name.replace("\\", "/")
    forms = [unicodedata.normalize(form, slashed) for form in ("NFC", "NFD")]
    spellings = dict.fromkeys([name, slashed, *forms])
    folders = [data, *(child for child in sorted(data.glob("*")) if child.is_dir())]
    for place in (folder / spelling for spelling in spellings for folder in folders):
        if place.is_file():
            return place
    raise CalibrationError(
        f"{data}: found no {name}, which the calibration list {path.name} names. Is this the right data set?"
    )
