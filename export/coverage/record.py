"""The record of the coverage table: one JSON line for each row, appended as soon as a network is measured."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path

from edge_runtime.results.append_only_file import Durable, InUseError
from edge_runtime.serialisation.records import from_json, to_dict
from export.coverage.row import Row
from export.coverage.subject import Subject
from export.errors import ExportError


def read(path: Path) -> dict[str, Row]:
    """Return name → row. Of several rows with one name the last counts, so appended rows replace older ones.

    Args:
        path: the record; a file that is not there has no rows.

    Raises:
        ManifestError: a line is not a row; the message has its number.
        ExportError: the record cannot be read.
    """
    try:
        lines = path.read_bytes().splitlines() if path.exists() else []
    except OSError as error:
        raise ExportError(
            f"{path}: found a record that cannot be read ({error.strerror}), expected a file of JSON lines. Name the "
            "file of the rows, for example --out coverage.jsonl."
        ) from None
    rows = (from_json(Row, line, f"{path}, line {number}") for number, line in enumerate(lines, 1))
    return {row.name: row for row in rows}


def chosen_rows(rows: dict[str, Row], subjects: Iterable[Subject]) -> Iterator[Row]:
    """Yield the rows of the subjects that have one, in the order of the subjects."""
    return (rows[subject.name] for subject in subjects if subject.name in rows)


class Record:
    """An opened record. No other measurement can append to it at the same time."""

    def __init__(self, path: Path) -> None:
        """Open or create the record.

        Raises:
            ExportError: another measurement appends to it, or it cannot be written.
        """
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = Durable(path, existing=True)
        except InUseError:
            raise ExportError(
                f"{path}: found another measurement that appends to this record, expected one at a time. Give this one "
                "a record of its own, and append its lines afterwards."
            ) from None
        except OSError as error:
            raise ExportError(
                f"{path}: found a record that cannot be written ({error.strerror or error}). Name a file in a folder "
                "that can be written."
            ) from None

    def append(self, row: Row) -> None:
        """Append a row; it is on the disk when this returns."""
        self._file.append((json.dumps(to_dict(row), ensure_ascii=False, allow_nan=False) + "\n").encode("utf-8"))

    def close(self) -> None:
        """Close the file."""
        self._file.close()
