"""Join the finished shards, in the order of the plan."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from edge_runtime.archive.packages import require
from edge_runtime.archive.plan import Archive
from edge_runtime.archive.shard import metadata_of, rows_of
from edge_runtime.archive.table import line_of_row, row_schema
from edge_runtime.errors import ArchiveWriteError
from edge_runtime.platform.atomic_files import write_whole
from edge_runtime.platform.machine_faults import machine_error


def lines(archive: Archive) -> Iterator[str]:
    """Yield the JSON lines of all images in the order of the plan, as ``edge-predict --json`` prints them.

    To print no line of an incomplete archive, call :func:`edge_runtime.archive.progress.progress_of_all` before.

    Raises:
        ArchiveError: ``archive_incomplete``: a shard is missing; and as in :func:`rows_of`.
    """
    for shard in range(archive.plan.shards):
        yield from map(line_of_row, rows_of(archive, shard).to_pylist())


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


def _write_lines(archive: Archive, path: Path) -> None:
    with path.open("w", encoding="ascii") as file:
        file.writelines(f"{line}\n" for line in lines(archive))


def _write_parquet(archive: Archive, path: Path) -> None:
    metadata = {key: value for key, value in metadata_of(archive.plan, 0).items() if not key.endswith(".shard")}
    schema = row_schema(metadata, site_policy=archive.plan.calibrated)
    with require("pyarrow.parquet").ParquetWriter(path, schema, compression="zstd") as writer:
        for shard in range(archive.plan.shards):
            writer.write_table(rows_of(archive, shard).cast(schema))
