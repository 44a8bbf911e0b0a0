"""Lists of cases: read, or refused with the line and a remedy."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from edge_runtime.assurance.cases import read_cases
from edge_runtime.bundle.bundle import find
from edge_runtime.bundle.spec import ModelSpec
from edge_runtime.errors import CasesError
from tests.unit.assurance.conftest import Rows, WriteCases


@pytest.fixture
def spec(phantom_bundle: Path) -> ModelSpec:
    return find(phantom_bundle).manifest.spec


def test_images_of_a_case_belong_together(site: Path, rows: Rows, write_cases: WriteCases, spec: ModelSpec) -> None:
    cases = read_cases(write_cases(rows), site, spec)
    assert len({case.name for case in cases}) == len(cases) == len({row[0] for row in rows})
    assert sum(len(case.images) for case in cases) == len(rows)
    first = cases[0].images[0]
    assert first.sha256 == hashlib.sha256((site / first.path).read_bytes()).hexdigest()
    assert set(cases[0].groups) == {"ward"}


def test_labels_of_the_model_are_labels(site: Path, rows: Rows, write_cases: WriteCases, spec: ModelSpec) -> None:
    plain = read_cases(write_cases(rows), site, spec)
    named = [[*row[:2], spec.positive[0] if row[2] == "positive" else spec.labels[0], row[3]] for row in rows]
    assert read_cases(write_cases(named, name="named.csv"), site, spec) == plain


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda rows: rows[1].__setitem__(1, "gone.png"), "line 3: found no image of this name"),
        (lambda rows: rows[1].__setitem__(1, "../site.png"), "line 3: found no image of this name"),
        (lambda rows: rows[1].__setitem__(2, "perhaps"), "line 3: found an unknown label, expected positive, negative"),
        (lambda rows: rows[1].__setitem__(0, " "), "line 3: found no name of a case"),
        (lambda rows: rows[1].__setitem__(1, rows[0][1]), "line 3: found the image of line 2 again"),
        (lambda rows: rows[1].__setitem__(3, "ward 9"), "line 3: found another label or subgroup"),
        (lambda rows: rows.clear(), "found no case below the header"),
    ],
)
def test_what_is_wrong_is_named(
    change, says: str, site: Path, rows: Rows, write_cases: WriteCases, spec: ModelSpec
) -> None:
    change(rows)
    with pytest.raises(CasesError, match=says):
        read_cases(write_cases(rows), site, spec)


def test_a_region_is_for_models_of_regions(site: Path, rows: Rows, write_cases: WriteCases, spec: ModelSpec) -> None:
    marked = [[*row, "4,4,3"] for row in rows]
    with pytest.raises(CasesError, match="line 2: found a region, expected none"):
        read_cases(write_cases(marked, "case,image,label,ward,region"), site, spec)


def test_no_list(tmp_path: Path, spec: ModelSpec) -> None:
    with pytest.raises(CasesError, match="found no file"):
        read_cases(tmp_path / "none.csv", tmp_path, spec)
    (tmp_path / "other.csv").write_text("a,b\n1,2\n")
    with pytest.raises(CasesError, match="expected the header case,image,label"):
        read_cases(tmp_path / "other.csv", tmp_path, spec)
