"""Who is who in the published images."""

from __future__ import annotations

from pathlib import Path

import pytest

SHARED = Path(__file__).parents[3] / "shared"


@pytest.fixture(scope="session")
def patients() -> Path:
    """The list of who is who in the Mendeley mammograms."""
    path = SHARED / "data" / "mendeley-groups.csv"
    if not path.is_file():
        pytest.skip("the list of patients is not beside this checkout (../shared/data)")
    return path
