"""The interface of all engines."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

from edge_runtime.errors import EdgeError, MachineError

RETRIES = 8
"""Times that a task is started again after its process died."""
WINDOW_PER_WORKER = 2
"""Tasks that wait or run, for each worker. No engine ever holds more, whatever the number of items."""
Task = Callable[[Any], object]


@dataclass(frozen=True)
class Outcome:
    """A task that ended, well or not. It is no proof that the task did its work: only its files are.

    Attributes:
        fault: the error of the task; for the death of its process or another failure of the engine, its text.
    """

    item: Any
    fault: EdgeError | str | None = None


class TaskEngine(Protocol):
    """Runs tasks in other processes."""

    def run(self, task: Task, items: Iterable[Any]) -> Iterator[Outcome]:
        """Call ``task(item)`` for each item, and yield each outcome as it comes, in any order.

        Items are read as workers become free. A task whose process dies is started again, :data:`RETRIES` times. When
        the generator ends, also by ``close()``, what the engine has started is stopped.

        Args:
            task: a function of a module, or a :func:`functools.partial` of one; it must bear repetition.
        """


def fault_of(error: BaseException) -> EdgeError | str:
    """Return what an outcome tells of an exception."""
    return error if isinstance(error, EdgeError) else f"{type(error).__name__}: {error}"


def engine_error(name: str, address: str | None, error: Exception) -> MachineError:
    """Return the error for an engine that cannot be started or reached."""
    what = "could not be started here" if address is None else f"could not be reached at {address}"
    return MachineError(
        f"{name}: {what} ({error}). Check the cluster, or use --engine local. Finished shards are kept.",
        code="archive_engine",
    )
