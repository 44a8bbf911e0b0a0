"""A bundle that accepts ultrasound objects, and an empty Orthanc."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.dicom_bundle import write_dicom_bundle
from tests.orthanc import Orthanc, orthanc


@pytest.fixture(scope="session")
def dicom_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_dicom_bundle(tmp_path_factory.mktemp("dicom"))


@pytest.fixture
def archive(tmp_path: Path) -> Iterator[Orthanc]:
    with orthanc(tmp_path / "orthanc") as running:
        yield running
