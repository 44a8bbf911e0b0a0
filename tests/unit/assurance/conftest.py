"""A site's labelled cases, made of phantoms."""

from __future__ import annotations

import csv
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

Rows = list[list[str]]
WriteCases = Callable[..., Path]


@pytest.fixture
def site(phantom_patches: list[Path], tmp_path: Path) -> Path:
    """A folder with the patches of two patients."""
    folder = tmp_path / "site"
    for patient in sorted({path.parents[1] for path in phantom_patches})[:2]:
        shutil.copytree(patient, folder / patient.name)
    return folder


@pytest.fixture
def rows(site: Path) -> Rows:
    """Case, image, label and ward of each patch; a case is a patient's patches of one label."""
    found = []
    for path in sorted(site.rglob("*.png")):
        patient, label, _ = path.relative_to(site).parts
        kind = "positive" if label == "1" else "negative"
        found.append([f"{patient}-{kind}", path.relative_to(site).as_posix(), kind, f"ward {int(patient) % 2}"])
    return found


@pytest.fixture
def write_cases(tmp_path: Path) -> WriteCases:
    """Write a list of cases and return its path."""

    def write(rows: Rows, header: str = "case,image,label,ward", name: str = "cases.csv") -> Path:
        with (tmp_path / name).open("w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows([header.split(","), *rows])
        return tmp_path / name

    return write
