"""The file of a finished shard: written in one step, with the hashes of the model in its metadata."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

from edge_runtime.archive.packages import require
from edge_runtime.archive.plan import Archive, ArchivePlan, damaged
from edge_runtime.archive.table import RECORD, ROWS_SCHEMA, row_schema
from edge_runtime.errors import ArchiveError, ArchiveWriteError
from edge_runtime.platform.atomic_files import write_whole
from edge_runtime.platform.machine_faults import machine_error

_FAILED = "edge-archive.failed"
SITE_POLICY_KEY = "edge-archive.site_policy"
"""Key of the SHA-256 of the site policy; absent without one."""


@dataclass(frozen=True)
class FinishedShard:
    """Counts of a finished shard."""

    rows: int
    failed: int


def metadata_of(plan: ArchivePlan, shard: int) -> dict[str, str]:
    """Return the metadata that a shard of this plan must have."""
    model = plan.model
    return {
        "edge-archive.plan": plan.id,
        "edge-archive.shard": str(shard),
        "edge-archive.model": f"{model.name} {model.version}",
        "edge-archive.bundle": model.bundle,
        "edge-archive.contract": model.contract,
        **({} if model.site_policy_sha256 is None else {SITE_POLICY_KEY: model.site_policy_sha256}),
    }


def write_shard(archive: Archive, shard: int, rows: list[dict[str, Any]]) -> None:
    """Write the rows of a shard: a temporary file, a flush to the disk, a rename.

    Several processes may write the same shard. Each has a temporary file of its own, and the last one replaces equal
    rows. Temporary files that killed processes have left are removed.

    Raises:
        ArchiveWriteError: the folder cannot be written.
        MachineError: memory, descriptors or I/O failed, or the disk is full.
    """
    failed = sum("error" in row for row in rows)
    metadata = {**metadata_of(archive.plan, shard), _FAILED: str(failed)}
    schema = row_schema(metadata, site_policy=archive.plan.calibrated)
    path = archive.shard_path(shard)
    part = path.with_name(f".{path.stem}.{socket.gethostname()}.{os.getpid()}.{uuid4().hex[:8]}.part")
    parquet = require("pyarrow.parquet")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        table = require("pyarrow").Table.from_pylist(rows, schema=schema)
        write_whole(path, lambda there: parquet.write_table(table, there, compression="zstd"), part=part)
    except FileNotFoundError:  # another process has finished this shard and has removed our temporary file
        if not path.is_file():
            raise
    except OSError as error:
        if fault := machine_error(error, str(path)):
            raise fault from None
        raise ArchiveWriteError(f"{path}: cannot be written ({error.strerror}). Check the folder's rights.") from None
    for left in path.parent.glob(f".{path.stem}.*.part"):
        with suppress(OSError):
            left.unlink()


def finished(archive: Archive, shard: int) -> FinishedShard | None:
    """Return the counts of a finished shard; None if there is no file. Only the end of the file is read.

    Raises:
        ArchiveError: ``archive_other_model`` or ``archive_other_plan``: the file is of another model or plan;
            ``archive_damaged``: it cannot be read, or it has another number of rows.
        MachineError: memory, descriptors or I/O failed.
    """
    try:
        with _opened(archive, shard) as file:
            return _checked(archive, shard, file.metadata)
    except FileNotFoundError:
        return None


@contextmanager
def _opened(archive: Archive, shard: int) -> Iterator[Any]:
    """Open the file of a shard, which reads its end. Other errors than that of an absent file get their names."""
    path = archive.shard_path(shard)
    try:
        with require("pyarrow.parquet").ParquetFile(path) as file:
            yield file
    except FileNotFoundError:
        raise
    except (require("pyarrow").ArrowException, OSError) as error:
        if fault := machine_error(error, str(path)):
            raise fault from None
        raise damaged(path, error) from None


def _checked(archive: Archive, shard: int, found: Any) -> FinishedShard:
    path, plan = archive.shard_path(shard), archive.plan
    values = {key.decode(): value.decode("utf-8", "replace") for key, value in (found.metadata or {}).items()}
    check_metadata(path, values, plan, shard)
    if found.num_rows != plan.size(shard):
        raise damaged(path, ValueError(f"{found.num_rows} rows, not {plan.size(shard)}"))
    return FinishedShard(found.num_rows, int(values.get(_FAILED, "0")))


def check_metadata(path: Path, found: dict[str, str], plan: ArchivePlan, shard: int) -> None:
    """Reject a shard of another model, plan, number or release.

    Raises:
        ArchiveError: as in :func:`finished`.
    """
    expected = {"edge-archive": ROWS_SCHEMA, **metadata_of(plan, shard)}
    keys = dict.fromkeys((*expected, SITE_POLICY_KEY))
    other = [key for key in keys if found.get(key) != expected.get(key)]
    if not other:
        return
    of_model = {"edge-archive.bundle", "edge-archive.contract", SITE_POLICY_KEY} & set(other)
    key = sorted(of_model)[0] if of_model else other[0]
    what = "another plan" if not of_model else "another site policy" if key == SITE_POLICY_KEY else "another model"
    raise ArchiveError(
        f"{path}: found a shard of {what} ({key} {found.get(key, 'absent')}, not {expected.get(key, 'absent')}). "
        "Move the file away, or use the folder of its plan.",
        code="archive_other_model" if of_model else "archive_other_plan",
    )


def incomplete(archive: Archive, shard: int) -> ArchiveError:
    """Return the error for a shard that is not finished where all are needed."""
    return ArchiveError(
        f"{archive.folder}: shard {shard} is missing, expected all {archive.plan.shards}. "
        f"Finish it with: edge-predict archive run {archive.folder}",
        code="archive_incomplete",
    )


def rows_of(archive: Archive, shard: int) -> Any:
    """Return the rows of a finished shard as an Arrow table, after checking that they are whole and in order.

    The file is opened once, so the rows are those of the metadata that was checked.

    Raises:
        ArchiveError: ``archive_incomplete``: it is not finished; and as in :func:`finished`.
        MachineError: memory, descriptors or I/O failed.
    """
    first = archive.plan.first(shard)
    try:
        with _opened(archive, shard) as file:
            rows = _checked(archive, shard, file.metadata).rows
            table = file.read()
    except FileNotFoundError:
        raise incomplete(archive, shard) from None
    if table.column(RECORD).to_pylist() != list(range(first, first + rows)):
        raise damaged(archive.shard_path(shard), ValueError("records that are not those of this shard"))
    return table
