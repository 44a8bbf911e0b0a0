"""Class :class:`EnginePool`: the engines of one predictor, one for each thread that works at the same time."""

from __future__ import annotations

from edge_runtime.errors import UsageError
from edge_runtime.inference.backends.base import Backend
from edge_runtime.inference.engine import Engine, Plan
from edge_runtime.platform.fork_safety import ForkSafeLock


class EnginePool:
    """Engines that share a plan. They are opened when they are first needed, and kept until :meth:`close`.

    Attributes:
        first: the engine of calls that need only one.
    """

    def __init__(self, plan: Plan, opened: Backend) -> None:
        """Make the first engine from the first model file, already opened."""
        self._plan = plan
        self.first = Engine(plan, opened)
        self._others: list[Engine] = []
        self._lock = ForkSafeLock()

    def take(self, count: int) -> list[Engine]:
        """Return ``count`` engines, the first one included; missing ones are opened now.

        Raises:
            UsageError: ``count`` is less than 1.
            BackendError: as in :meth:`ModelSession.open`.
        """
        if count < 1:
            raise UsageError(f"found workers={count}, expected 1 or more. Pass a larger number.")
        with self._lock.held:
            while len(self._others) < count - 1:
                self._others.append(Engine(self._plan))
            return [self.first, *self._others[: count - 1]]

    def close(self) -> None:
        """Release the interpreters."""
        for engine in (self.first, *self._others):
            engine.close()
