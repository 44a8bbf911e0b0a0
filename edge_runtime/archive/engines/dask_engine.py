"""Class :class:`DaskEngine`: tasks of Dask's scheduler, on a running cluster or on processes that are started here."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from typing import Any

from edge_runtime.archive.engines.engine import RETRIES, WINDOW_PER_WORKER, Outcome, Task, engine_error, fault_of
from edge_runtime.archive.packages import require

_SETTINGS: dict[str, object] = {
    "distributed.scheduler.allowed-failures": RETRIES,
    "distributed.comm.timeouts.connect": "120s",
    # each worker observes itself all the time otherwise, which costs more than Dask's own work
    "distributed.worker.profile.enabled": False,
    "distributed.admin.tick.interval": "1s",
    "distributed.admin.system-monitor.interval": "5s",
}


class DaskEngine:
    """Dask futures. The scheduler starts a task again whose worker died; a local worker is replaced."""

    def __init__(self, workers: int, address: str | None = None) -> None:
        """Check that Dask is installed.

        Raises:
            ArchiveError: ``archive_package_missing``.
        """
        self._distributed, self.workers, self.address = require("distributed", "dask"), workers, address

    def run(self, task: Task, items: Iterable[Any]) -> Iterator[Outcome]:
        with ExitStack() as stack:
            client = self._client(stack)
            cores = sum(client.ncores().values())
            window = WINDOW_PER_WORKER * max(self.workers if self.address is None else 1, cores)
            completed = self._distributed.as_completed(with_results=False, raise_errors=False)
            source, pending = iter(items), {}
            for _, item in zip(range(window), source, strict=False):
                pending[_submit(client, completed, task, item)] = item
            for future in completed:
                outcome = _outcome(future, pending.pop(future.key))
                future.release()
                yield outcome
                for item in source:
                    pending[_submit(client, completed, task, item)] = item
                    break

    def _client(self, stack: ExitStack) -> Any:
        stack.enter_context(require("dask", "dask").config.set(_SETTINGS))
        try:
            return stack.enter_context(self._distributed.Client(self.address or stack.enter_context(self._cluster())))
        except (OSError, RuntimeError, ValueError) as error:
            raise engine_error("Dask", self.address, error) from error

    def _cluster(self) -> Any:
        return self._distributed.LocalCluster(
            n_workers=self.workers,
            threads_per_worker=1,
            processes=True,
            dashboard_address="127.0.0.1:0",  # its server starts in any case, on port 8787 of all networks
            silence_logs=logging.CRITICAL,  # a worker that is replaced is no news
        )


def _submit(client: Any, completed: Any, task: Task, item: Any) -> str:
    future = client.submit(_call, task, item, pure=False, retries=0)
    completed.add(future)
    return str(future.key)


def _outcome(future: Any, item: Any) -> Outcome:
    error = future.exception() if future.status == "error" else None
    if error is not None:
        return Outcome(item, fault_of(error))
    return Outcome(item, None if future.status == "finished" else f"the task was {future.status}")


def _call(task: Task, item: Any) -> None:
    """Call the task and drop what it returns."""
    task(item)
