"""One thread's share of a loaded model: the file that answers first, and the float32 file that decides near thresholds.

Whether the float32 file decides is the rule's to say (:mod:`edge_runtime.decision.rule`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import isfinite
from typing import Any

import numpy as np
import numpy.typing as npt

from edge_runtime.bundle.runtime_manifest import Precision
from edge_runtime.bundle.spec import ModelSpec
from edge_runtime.decision.rule import DecisionRule, near_threshold
from edge_runtime.decision.verdict import Verdict
from edge_runtime.errors import BackendError
from edge_runtime.inference.backends.base import Backend
from edge_runtime.inference.prediction import Fallback
from edge_runtime.platform.fork_safety import ForkSafeLock
from edge_runtime.preprocessing.preprocessor import Preprocessed, Preprocessor, look_up

Opener = Callable[[Precision], Backend]


@dataclass(frozen=True, eq=False)
class Plan:
    """What all engines of one predictor share.

    Attributes:
        preparation: of the spec's steps.
        rule: of the spec's policy.
        first: the precision of the file that answers first.
        guard_band: distance from a threshold (in score, 0..1) within which the float32 file decides; 0 if it never
            does.
        open: opens the model file of a precision.
        fallback: why float32 answers in place of the file that was wanted.
        bundle: SHA-256 of ``bundle.json``, as answers name it.
    """

    spec: ModelSpec
    preprocessor: Preprocessor
    rule: DecisionRule
    first: Precision
    guard_band: float
    open: Opener
    fallback: Fallback | None = None
    bundle: str | None = None


class Engine:
    """The model's files, opened; used by one thread at a time for speed, by several without harm."""

    def __init__(self, plan: Plan, first: Backend | None = None) -> None:
        """Open the file that answers first, unless it is handed in opened."""
        self._plan = plan
        self._first = _File(first or plan.open(plan.first), plan.preprocessor)
        self._exact: _File | None = None
        self._lock = ForkSafeLock()

    def answer(self, prepared: Preprocessed, *, familiar: bool = True) -> tuple[Verdict, Precision]:
        """Return the verdict on one image, H×W×C from :meth:`Preprocessor.levels`, and which file decided.

        Args:
            familiar: whether the image is like the model's own; if not it is referred, and the file that answers
                first is exact enough.

        Raises:
            BackendError: the network answered with no number, or the engine was closed.
        """
        plan, batch = self._plan, prepared[np.newaxis]
        verdict = plan.rule.verdict(self._first.run(batch)[0], familiar=familiar)
        if familiar and plan.rule.near_threshold(verdict, plan.guard_band):
            return plan.rule.verdict(self.exact.run(batch)[0], rerun=True), Precision.FLOAT32
        return verdict, plan.first

    def answer_all(
        self, prepared: Preprocessed, familiar: npt.NDArray[np.bool_] | None = None
    ) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.bool_]]:
        """Return the logits that decide N images, float32 N×outputs, and which came from a rerun in float32, bool N.

        Args:
            prepared: N×H×W×C, each from :meth:`Preprocessor.levels`.
            familiar: bool N, as for :meth:`answer`; by default all are.

        Raises:
            BackendError: as :meth:`answer`.
        """
        logits = self.logits(prepared)
        near = near_threshold(logits, self._plan.spec, self._plan.guard_band)
        if familiar is not None:
            near &= familiar
        if near.any():
            logits[near] = self.exact.run(prepared[near])
        return logits, near

    def logits(self, prepared: Preprocessed, *, exact: bool = False) -> npt.NDArray[np.float32]:
        """Return what one file alone says of N images, float32 N×outputs.

        Args:
            prepared: as for :meth:`answer_all`.
            exact: ask the float32 file instead of the one that answers first.

        Raises:
            BackendError: as :meth:`answer`.
        """
        return (self.exact if exact else self._first).run(prepared)

    def explain(self, prepared: Preprocessed) -> tuple[npt.NDArray[np.float32], ...]:
        """Return what the float32 file hands out for one image: see :meth:`Backend.outputs`.

        Raises:
            BackendError: as :meth:`answer`.
        """
        return self.exact.outputs(prepared[np.newaxis])

    @property
    def backend(self) -> Backend:
        """The file that answers first."""
        return self._first.backend

    @property
    def exact(self) -> _File:
        """The float32 file, opened when it is first needed."""
        if self._plan.first is Precision.FLOAT32:
            return self._first
        with self._lock.held:
            if self._exact is None:
                self._exact = _File(self._plan.open(Precision.FLOAT32), self._plan.preprocessor)
            return self._exact

    def close(self) -> None:
        """Release the interpreters."""
        self._first.backend.close()
        if self._exact is not None:
            self._exact.backend.close()


class _File:
    """An opened model file, and what each uint8 level is to its network.

    Quantising 256 values once is quantising every pixel of every image: the table holds the very numbers.
    """

    def __init__(self, backend: Backend, preprocessor: Preprocessor) -> None:
        self.backend = backend
        self._table: npt.NDArray[Any] | None = None
        if preprocessor.values is not None:
            self._table = backend.quantise(preprocessor.values)

    def run(self, prepared: Preprocessed) -> npt.NDArray[np.float32]:
        """Pass logits on; a network that overflows or lost its weights must not look like a NEGATIVE."""
        return _finite(self.backend.run(self._taken(prepared)))

    def outputs(self, prepared: Preprocessed) -> tuple[npt.NDArray[np.float32], ...]:
        """Pass on everything that the file hands out for one image, its logits first."""
        logits, *others = self.backend.outputs(self._taken(prepared))
        return _finite(logits), *others

    def _taken(self, prepared: Preprocessed) -> npt.NDArray[Any]:
        return prepared if self._table is None else look_up(prepared, self._table)


def _finite(logits: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    if not all(map(isfinite, logits.ravel().tolist())):  # few numbers: quicker than arrays of them
        raise BackendError("the network answered with no number (NaN or infinity). Export the model again.")
    return logits
