"""Run a plan: give the missing shards to an engine, and count files until all are there."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

from edge_runtime.archive.engines.engine import TaskEngine
from edge_runtime.archive.plan import Archive
from edge_runtime.archive.scoring import score_shard
from edge_runtime.archive.shard import finished
from edge_runtime.errors import EdgeError, MachineError

ROUNDS = 3
"""Rounds without a new shard after which a run ends."""
Progress = Callable[[int], object]


def run_archive(archive: Archive, engine: TaskEngine, progress: Progress = bool) -> list[str]:
    """Score every missing shard. Return the faults of shards that are still missing, without repetition.

    Args:
        progress: called with the number of images of each shard that is finished in this run.

    Raises:
        ArchiveError, BundleError, BackendError, ArchiveWriteError: of the first task that raised one.
    """
    task, rounds, faults = partial(score_shard, str(archive.folder.absolute())), 0, dict[str, None]()
    while rounds < ROUNDS:
        rounds, faults = rounds + 1, {}
        for outcome in engine.run(task, _missing(archive)):
            if isinstance(outcome.fault, EdgeError) and not isinstance(outcome.fault, MachineError):
                raise outcome.fault
            if (found := finished(archive, outcome.item)) is not None:
                progress(found.rows)
                rounds = 0
            else:
                faults[str(outcome.fault or "the task ended without a file")] = None
        if not faults:
            break
    return list(faults)


def _missing(archive: Archive) -> Iterator[int]:
    return (shard for shard in range(archive.plan.shards) if finished(archive, shard) is None)
