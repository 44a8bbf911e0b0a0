"""Run a plan on an engine, and note what each task itself takes; or run tasks that do nothing.

``archive-cost`` starts it as a process of its own, whose processor time and that of all below it are counted.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from edge_runtime.archive.engines import EngineKind, open_engine
from edge_runtime.archive.engines.engine import Outcome, Task, TaskEngine
from edge_runtime.archive.plan import open_archive
from edge_runtime.archive.running import run_archive
from edge_runtime.errors import MachineError

WORKERS = 2
COMMAND = "import sys; from benchmarks.studies.archive_tasks import main; main(*sys.argv[1:])"
"""For ``python -c``: of a module that runs as a program, workers could not find the functions."""


@dataclass(frozen=True)
class TaskTime:
    """What one task took.

    Attributes:
        item: the shard.
        process: identifier of the worker process.
        first: whether it is the first task of its process, which loads the model.
        task_s: processor seconds of the thread that ran it.
        beside_s: processor seconds of the other threads of its process in that time.
        wall_s: seconds from its start to its end.
    """

    item: int
    process: int
    first: bool
    task_s: float
    beside_s: float
    wall_s: float


_seen = set[int]()
"""The process, once it has run a task. A number, as a forked process would inherit a flag."""


def timed(log: str, task: Task, item: int) -> None:
    """Call a task and write its :class:`TaskTime` into the folder ``log``."""
    first = os.getpid() not in _seen
    _seen.add(os.getpid())
    wall, process, thread = time.perf_counter(), time.process_time(), time.thread_time()
    task(item)
    task_s = time.thread_time() - thread
    beside_s = time.process_time() - process - task_s
    found = TaskTime(item, os.getpid(), first, task_s, beside_s, time.perf_counter() - wall)
    Path(log, f"{item}.json").write_text(json.dumps(asdict(found)), encoding="ascii")


def times_in(log: Path) -> list[TaskTime]:
    """Return what the tasks of a run wrote."""
    return [TaskTime(**json.loads(file.read_text(encoding="ascii"))) for file in log.iterdir()]


@dataclass(frozen=True)
class TimedEngine:
    """An engine whose tasks write their :class:`TaskTime`."""

    engine: TaskEngine
    log: str

    def run(self, task: Task, items: Iterable[Any]) -> Iterator[Outcome]:
        """See :class:`edge_runtime.archive.engines.engine.TaskEngine`."""
        return self.engine.run(partial(timed, self.log, task), items)


def wait(seconds: float, _item: int) -> None:
    """Do nothing for so long."""
    time.sleep(seconds)


def main(kind: str, *rest: str) -> None:
    """Run an archive, whose tasks write into a folder; or so many tasks that wait so many seconds each.

    Args:
        kind: the engine.
        rest: archive and folder, or number and seconds.
    """
    engine, (what, how) = open_engine(EngineKind(kind), WORKERS), rest
    if what.isdigit():
        faults = [outcome.fault for outcome in engine.run(partial(wait, float(how)), range(int(what)))]
    else:
        faults = list(run_archive(open_archive(Path(what)), TimedEngine(engine, how)))
    if any(faults):
        print(*faults, file=sys.stderr)
        sys.exit(MachineError.exit_code)
