"""Join the finished shards, in the order of the plan."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from edge_runtime.archive.packages import require
from edge_runtime.archive.plan import Archive
from edge_runtime.archive.shard import metadata_of, require_finished, rows_of
from edge_runtime.archive.table import line_of_row, row_schema
from edge_runtime.errors import ArchiveWriteError
from edge_runtime.platform.atomic_files import write_whole
from edge_runtime.platform.machine_faults import machine_error


def lines(archive: Archive) -> Iterator[str]:
    """Yield the JSON lines of all images in the order of the plan, as ``edge-predict --json`` prints them.

    Raises:
        ArchiveError: ``archive_incomplete``: a shard is missing; and as in :func:`rows_of`.
    """
    for table in _tables(archive):
        yield from map(line_of_row, table.to_pylist())


def merge(archive: Archive, out: Path) -> None:
    """Write all results into one file, in the order of the plan: Parquet if its name ends so, else JSON lines.

    Raises:
        ArchiveError: as in :func:`lines`. No file is written.
        ArchiveWriteError: the file cannot be written.
        MachineError: memory, descriptors or I/O failed, or the disk is full.
    """
    write = _write_parquet if out.suffix.lower() in (".parquet", ".pq") else _write_lines
    try:
        write_whole(out, lambda part: write(archive, part))
    except OSError as error:
        if fault := machine_error(error, str(out)):
            raise fault from None
        raise ArchiveWriteError(f"{out}: cannot be written ({error.strerror}). Name another file.") from None


def _tables(archive: Archive) -> Iterator[Any]:
    """Yield the rows of each shard, after a look at all: of an incomplete archive no line is printed."""
    for shard in range(archive.plan.shards):
        require_finished(archive, shard)
    yield from (rows_of(archive, shard) for shard in range(archive.plan.shards))


def _write_lines(archive: Archive, path: Path) -> None:
    with path.open("w", encoding="ascii") as file:
        file.writelines(f"{line}\n" for line in lines(archive))


def _write_parquet(archive: Archive, path: Path) -> None:
    metadata = {key: value for key, value in metadata_of(archive.plan, 0).items() if not key.endswith(".shard")}
    schema = row_schema(metadata, site_policy=archive.plan.calibrated)
    with require("pyarrow.parquet").ParquetWriter(path, schema, compression="zstd") as writer:
        for table in _tables(archive):
            writer.write_table(table.cast(schema))
