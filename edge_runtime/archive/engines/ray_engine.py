"""Class :class:`RayEngine`: tasks of Ray core, on a running cluster or on one that is started here."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Iterable, Iterator
from itertools import count
from typing import Any

from edge_runtime.archive.engines.engine import RETRIES, WINDOW_PER_WORKER, Outcome, Task, engine_error, fault_of
from edge_runtime.archive.packages import require

_QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",  # Ray reports to its makers otherwise
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",  # the coming default, without a warning
    "RAY_DEDUP_LOGS": "0",
    "RAY_worker_niceness": "0",  # workers started here get as much time as those of the other engines, not the least
}

START_S = 300.0
"""Seconds in which starts of Ray that time out are repeated."""
_STARTS = 3
"""Attempts to start Ray if it fails otherwise."""


class RayEngine:
    """Ray core tasks, each on one core. Ray starts a task again whose process or node died."""

    def __init__(self, workers: int, address: str | None = None) -> None:
        """Check that Ray is installed.

        Raises:
            ArchiveError: ``archive_package_missing``.
        """
        for name, value in _QUIET.items():
            os.environ.setdefault(name, value)
        self._ray, self.workers, self.address = require("ray", "ray"), workers, address

    def run(self, task: Task, items: Iterable[Any]) -> Iterator[Outcome]:
        ray = self._ray
        started = not ray.is_initialized()
        if started:
            self._start()
        try:
            call = ray.remote(num_cpus=1, max_retries=RETRIES)(_call)
            window = WINDOW_PER_WORKER * max(1, int(ray.cluster_resources().get("CPU", self.workers)))
            pending: dict[Any, Any] = {}
            for item in items:
                if len(pending) >= window:
                    yield self._ended(pending)
                pending[call.remote(task, item)] = item
            while pending:
                yield self._ended(pending)
        finally:
            if started:
                ray.shutdown()

    def _start(self) -> None:
        """Connect to the cluster, or start one here.

        Ray waits 15 s for its own helper processes, which no setting changes, and which is too short on a busy machine
        (ray-project/ray#65983). So a start that times out is repeated until :data:`START_S` have passed.
        """
        quiet = {"log_to_driver": False, "logging_level": logging.ERROR, "configure_logging": True}
        here = {"address": "local", "num_cpus": self.workers, "include_dashboard": False}
        end = time.monotonic() + START_S
        for attempt in count(1):
            try:
                self._ray.init(**(here if self.address is None else {"address": self.address}), **quiet)
            except Exception as error:  # Ray raises bare ones
                self._ray.shutdown()
                again = time.monotonic() < end if _timed_out(error) else attempt < _STARTS
                if not again:
                    raise engine_error("Ray", self.address, error) from error
            else:
                return

    def _ended(self, pending: dict[Any, Any]) -> Outcome:
        """Wait for one task. A failed one has an exception as its value."""
        (done,), _ = self._ray.wait(list(pending), num_returns=1)
        item = pending.pop(done)
        try:
            self._ray.get(done)
        except self._ray.exceptions.RayTaskError as error:
            return Outcome(item, fault_of(error.cause or error))
        except self._ray.exceptions.RayError as error:  # the process or its node died too often
            return Outcome(item, fault_of(error))
        return Outcome(item)


def _timed_out(error: Exception) -> bool:
    return "timed out" in str(error).lower()


def _call(task: Task, item: Any) -> None:
    """Call the task and drop what it returns."""
    task(item)
