"""Class :class:`Engine`: one thread's interpreters, for the first model file and for the float32 file.

The first model file runs on every image. The float32 file runs again where the first score lies near a threshold
(:mod:`edge_runtime.decision.rule`).
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
    """Values that all engines of one predictor share.

    Attributes:
        preprocessor: built from the steps of the spec.
        rule: built from the policy of the spec.
        first: the precision of the model file that runs first.
        guard_band: distance from a threshold (in score, 0..1) within which the float32 file decides; 0 if it never
            does.
        open: opens the model file of a precision.
        fallback: reason of the fallback to float32; None if there is none.
        bundle: SHA-256 of ``bundle.json``, copied into each prediction.
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
    """Opened model files. Safe to share between threads, but fastest with one thread each."""

    def __init__(self, plan: Plan, first: Backend | None = None) -> None:
        """Open the first model file, unless ``first`` is that file, already opened."""
        self._plan = plan
        self._first = _File(first or plan.open(plan.first), plan.preprocessor)
        self._exact: _File | None = None
        self._lock = ForkSafeLock()

    def answer(self, prepared: Preprocessed, *, familiar: bool = True) -> tuple[Verdict, Precision]:
        """Return the verdict on one image and the precision of the file that decided.

        Args:
            prepared: H×W×C from :meth:`Preprocessor.levels`.
            familiar: result of the out-of-distribution check. If False, the image is referred and float32 does not
                run.

        Raises:
            BackendError: the network returned NaN or infinity, or the engine is closed.
        """
        plan, batch = self._plan, prepared[np.newaxis]
        verdict = plan.rule.verdict(self._first.run(batch)[0], familiar=familiar)
        if familiar and plan.rule.near_threshold(verdict, plan.guard_band):
            return plan.rule.verdict(self.exact.run(batch)[0], rerun=True), Precision.FLOAT32
        return verdict, plan.first

    def answer_all(
        self, prepared: Preprocessed, familiar: npt.NDArray[np.bool_] | None = None
    ) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.bool_]]:
        """Return the deciding logits of N images, float32 N×outputs, and a mask of float32 reruns, bool N.

        Args:
            prepared: N×H×W×C, each from :meth:`Preprocessor.levels`.
            familiar: bool N, as in :meth:`answer`; by default all True.

        Raises:
            BackendError: as in :meth:`answer`.
        """
        logits = self.logits(prepared)
        near = near_threshold(logits, self._plan.spec, self._plan.guard_band)
        if familiar is not None:
            near &= familiar
        if near.any():
            logits[near] = self.exact.run(prepared[near])
        return logits, near

    def logits(self, prepared: Preprocessed, *, exact: bool = False) -> npt.NDArray[np.float32]:
        """Return the logits of a single model file for N images, float32 N×outputs.

        Args:
            prepared: as in :meth:`answer_all`.
            exact: run the float32 file instead of the first file.

        Raises:
            BackendError: as in :meth:`answer`.
        """
        return (self.exact if exact else self._first).run(prepared)

    def explain(self, prepared: Preprocessed) -> tuple[npt.NDArray[np.float32], ...]:
        """Return all outputs of the float32 file for one image: see :meth:`Backend.outputs`.

        Raises:
            BackendError: as in :meth:`answer`.
        """
        return self.exact.outputs(prepared[np.newaxis])

    @property
    def backend(self) -> Backend:
        """Backend of the first model file."""
        return self._first.backend

    @property
    def exact(self) -> _File:
        """The float32 file, opened on first use."""
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
    """An opened model file with a lookup table from uint8 levels to input values.

    A pixel has one of 256 levels. Quantising these once gives the same values as quantising every pixel.
    """

    def __init__(self, backend: Backend, preprocessor: Preprocessor) -> None:
        self.backend = backend
        self._table: npt.NDArray[Any] | None = None
        if preprocessor.values is not None:
            self._table = backend.quantise(preprocessor.values)

    def run(self, prepared: Preprocessed) -> npt.NDArray[np.float32]:
        """Return the logits, float32 N×outputs. NaN and infinity raise, so that they never become NEGATIVE."""
        return _finite(self.backend.run(self._input(prepared)))

    def outputs(self, prepared: Preprocessed) -> tuple[npt.NDArray[np.float32], ...]:
        """Return all outputs of the file for one image, the logits first."""
        logits, *others = self.backend.outputs(self._input(prepared))
        return _finite(logits), *others

    def _input(self, prepared: Preprocessed) -> npt.NDArray[Any]:
        return prepared if self._table is None else look_up(prepared, self._table)


def _finite(logits: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    if not all(map(isfinite, logits.ravel().tolist())):  # faster than numpy for a few numbers
        raise BackendError("found NaN or infinity in the logits, expected finite numbers. Export the model again.")
    return logits
