"""How far an archive is: counts of its finished shards, by their files, and the time that is left."""

from __future__ import annotations

import time
from dataclasses import dataclass

from edge_runtime.archive.plan import Archive
from edge_runtime.archive.shard import finished, incomplete
from edge_runtime.images.left_out import LeftOutReason

_LAST = 50
"""Shards whose times give the rate of a run."""


@dataclass(frozen=True)
class ArchiveProgress:
    """Counts of an archive.

    Attributes:
        shards, rows, failed: shards that are finished, their images, and those of the images that have an error.
        missing_shards, missing_rows: shards that are not finished, and their images.
        expected: left-out files for which a user expects a result.
        first_missing: number of the first shard that is not finished.
    """

    shards: int
    rows: int
    failed: int
    missing_shards: int
    missing_rows: int
    expected: int
    first_missing: int | None

    @property
    def without_answer(self) -> int:
        """Files that have an error instead of an answer, or none at all; the exit status is then 1."""
        return self.failed + self.expected


def progress_of(archive: Archive) -> ArchiveProgress:
    """Count the finished shards of an archive, by their files.

    Raises:
        ArchiveError, MachineError: as in :func:`edge_runtime.archive.shard.finished`.
    """
    plan, shards, rows, failed = archive.plan, 0, 0, 0
    first_missing: int | None = None
    for shard in range(plan.shards):
        if (found := finished(archive, shard)) is not None:
            shards, rows, failed = shards + 1, rows + found.rows, failed + found.failed
        elif first_missing is None:
            first_missing = shard
    expected = sum(count for name, count in plan.left_out.items() if LeftOutReason(name).expects_answer)
    return ArchiveProgress(shards, rows, failed, plan.shards - shards, plan.records - rows, expected, first_missing)


def progress_of_all(archive: Archive) -> ArchiveProgress:
    """Count the shards of an archive in which none may be missing.

    Raises:
        ArchiveError: ``archive_incomplete``: a shard is missing; and as in :func:`progress_of`.
        MachineError: as in :func:`progress_of`.
    """
    done = progress_of(archive)
    if done.first_missing is not None:
        raise incomplete(archive, done.first_missing)
    return done


def seconds_left(archive: Archive, done: ArchiveProgress) -> float | None:
    """Return the time left at the rate of the last shards; None if too few are finished, 0 if all are."""
    if not done.missing_shards:
        return 0.0
    times = sorted(path.stat().st_mtime for path in archive.folder.glob("shards/*/*.parquet"))[-_LAST:]
    if len(times) < 2 or times[0] >= (now := time.time()):
        return None
    return done.missing_shards * (now - times[0]) / (len(times) - 1)


def status_of(archive: Archive) -> dict[str, object]:
    """Return what ``edge-predict archive status --json`` prints. Raises as :func:`progress_of`."""
    plan, done = archive.plan, progress_of(archive)
    left = seconds_left(archive, done)
    return {
        "model": f"{plan.model.name} {plan.model.version}",
        "bundle": plan.model.bundle,
        "shards": plan.shards,
        "shards_done": done.shards,
        "images": plan.records,
        "images_done": done.rows,
        "failed": done.failed,
        "left_out": sum(plan.left_out.values()),
        "seconds_left": None if left is None else round(left),
    }
