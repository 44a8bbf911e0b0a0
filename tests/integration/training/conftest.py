"""Who is who in the published images."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.places import PUBLISHED


@pytest.fixture(scope="session")
def patients() -> Path:
    """The list of who is who in the Mendeley mammograms."""
    path = PUBLISHED / "data" / "mendeley-groups.csv"
    if not path.is_file():
        pytest.skip("the list of patients is not beside this checkout (../shared/data)")
    return path


@pytest.fixture(scope="session")
def phantom_bundle(exported_bundle: Path) -> Path:
    """The bundle as ``export`` writes it today."""
    return exported_bundle
