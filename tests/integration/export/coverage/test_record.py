"""The record of the coverage table: the last row of a name counts, and the page of the docs follows from it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from edge_runtime.errors import ManifestError
from export.coverage.page import page
from export.coverage.record import Record, chosen_rows, read
from export.coverage.row import Cell, Outcome, Row
from export.coverage.subjects import subjects
from export.errors import ExportError
from tests.places import ROOT

ROW = Row("relu", "activations", Outcome.EXPORTED, "", (Cell("a", "litert", 1e-6),), 12.3, None, 900, "keras 3")
REFERENCE = ROOT / "docs" / "reference"


def _appended(path: Path, *rows: Row) -> None:
    record = Record(path)
    for row in rows:
        record.append(row)
    record.close()


def test_appended_rows_are_read_and_the_last_of_a_name_counts(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "rows.jsonl"
    assert read(path) == {}
    _appended(path, ROW, replace(ROW, name="elu"))
    _appended(path, replace(ROW, text="newer"))
    assert read(path) == {"relu": replace(ROW, text="newer"), "elu": replace(ROW, name="elu")}
    assert path.read_bytes().count(b"\n") == 3


def test_a_line_that_is_no_row_is_named(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    _appended(path, ROW)
    path.write_bytes(path.read_bytes() + b'{"name": "cut')
    with pytest.raises(ManifestError, match=r"rows\.jsonl, line 2: expected JSON"):
        read(path)


def test_one_measurement_at_a_time(tmp_path: Path) -> None:
    first = Record(tmp_path / "rows.jsonl")
    with pytest.raises(ExportError, match="another measurement"):
        Record(tmp_path / "rows.jsonl")
    first.close()
    Record(tmp_path / "rows.jsonl").close()


def test_a_folder_is_no_record(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match="cannot be written"):
        Record(tmp_path)
    with pytest.raises(ExportError, match="cannot be read"):
        read(tmp_path)


def test_the_page_in_the_docs_is_what_the_record_gives() -> None:
    every, rows = list(subjects()), read(REFERENCE / "coverage.jsonl")
    assert set(rows) <= {subject.name for subject in every}
    expected = page(list(chosen_rows(rows, every)), every)
    assert (REFERENCE / "coverage.md").read_text(encoding="utf-8") == expected
