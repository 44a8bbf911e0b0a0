"""Parquet files with one image a row: its encoded bytes, in a column of their own or in one of a data set.

A data set of Hugging Face has a column ``image`` of structures with the fields ``bytes`` and ``path``.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from edge_runtime.archive.packages import require
from edge_runtime.archive.record import ArchiveRecord, RecordKind
from edge_runtime.archive.sources.places import absolute, open_place, planned_stamp
from edge_runtime.errors import ArchiveError

BYTES = "bytes"


def parquet_rows(source: str, column: str | None) -> Iterator[ArchiveRecord]:
    """Yield one record for each row, named ``FILE#ROW``, from 0.

    Raises:
        ArchiveError: ``archive_source``: the file is no Parquet file, or the column with the bytes is not known.
    """
    pa, parquet = require("pyarrow"), require("pyarrow.parquet")
    with open_place(source) as file:
        try:
            opened = parquet.ParquetFile(file)
        except (pa.ArrowException, OSError) as error:
            raise ArchiveError(f"{source}: found no valid Parquet file ({error}). Check the file.") from None
        detail = _column(source, opened.schema_arrow, column)
        count = opened.metadata.num_rows
    place, stamp = absolute(source), planned_stamp(source)
    for row in range(count):
        yield ArchiveRecord(f"{source}#{row}", RecordKind.PARQUET, place, row, detail=detail, stamp=stamp)


def holds_bytes(kind: Any) -> bool:
    """Return whether an Arrow type is bytes, or a structure with the field ``bytes``."""
    types = require("pyarrow").types
    if types.is_struct(kind):
        return bool(kind.get_field_index(BYTES) >= 0 and holds_bytes(kind.field(BYTES).type))
    return bool(types.is_binary(kind) or types.is_large_binary(kind) or types.is_binary_view(kind))


def _column(source: str, schema: Any, asked: str | None) -> str:
    able = [field.name for field in schema if holds_bytes(field.type)]
    if asked in able:
        return str(asked)
    if asked is None and len(able) == 1:
        return str(able[0])
    found = f"columns of bytes {', '.join(able)}" if able else "no column of bytes"
    wanted = "one" if asked is None else f"one named {asked}"
    raise ArchiveError(f"{source}: found {found}, expected {wanted}. Name the column with --column.")
