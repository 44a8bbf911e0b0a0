"""Class :class:`Engine`: one thread's interpreters, for the first model file and for the float32 file.

The first model file runs on every image. The float32 file runs again where the first score lies near a threshold
(:mod:`edge_runtime.decision.rule`).

If the out-of-distribution check uses features of the network, the first file decides about an image, too. Near the
limit of the check, the float32 file decides both: whether the image is out-of-distribution, and its scores.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import isfinite
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from edge_runtime.bundle.policy import SitePolicyId
from edge_runtime.bundle.runtime_manifest import Precision
from edge_runtime.bundle.spec import ModelSpec
from edge_runtime.decision.rule import DecisionRule, near_threshold
from edge_runtime.decision.verdict import Verdict
from edge_runtime.errors import BackendError
from edge_runtime.inference.backends.base import Backend
from edge_runtime.inference.prediction import Fallback
from edge_runtime.ood.detector import is_familiar, is_near_limit
from edge_runtime.ood.network_features import NetworkFamiliarity
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
        familiarity_band: distance of the out-of-distribution share from 1 within which the float32 file decides; 0 if
            it never does.
        site_policy: the site policy whose thresholds ``spec`` has; None for the bundle's own.
    """

    spec: ModelSpec
    preprocessor: Preprocessor
    rule: DecisionRule
    first: Precision
    guard_band: float
    open: Opener
    fallback: Fallback | None = None
    bundle: str | None = None
    familiarity_band: float = 0.0
    site_policy: SitePolicyId | None = None


class Answer(NamedTuple):
    """The verdict on one image.

    Attributes:
        precision: precision of the file that decided.
        share: out-of-distribution distance divided by the limit; None without a check on network features.
    """

    verdict: Verdict
    precision: Precision
    share: float | None = None


class Answers(NamedTuple):
    """The results of N images.

    Attributes:
        logits: the deciding logits, float32 N×outputs.
        rerun: bool N, True where the logits are from a rerun in float32.
        shares: float64 N, as in :class:`Answer`; None without a check on network features.
    """

    logits: npt.NDArray[np.float32]
    rerun: npt.NDArray[np.bool_]
    shares: npt.NDArray[np.float64] | None


class Engine:
    """Opened model files. Safe to share between threads, but fastest with one thread each."""

    def __init__(self, plan: Plan, first: Backend | None = None) -> None:
        """Open the first model file, unless ``first`` is that file, already opened."""
        self._plan = plan
        self._first = _File(first or plan.open(plan.first), plan.preprocessor)
        self._exact: _File | None = None
        self._lock = ForkSafeLock()

    def answer(self, prepared: Preprocessed, *, familiar: bool = True) -> Answer:
        """Return the verdict on one image.

        Args:
            prepared: H×W×C from :meth:`Preprocessor.levels`.
            familiar: result of the out-of-distribution check on image statistics. If False, the image is referred and
                float32 does not run.

        Raises:
            BackendError: the network returned NaN or infinity, or the engine is closed.
        """
        plan, batch = self._plan, prepared[np.newaxis]
        if isinstance(plan.spec.familiarity, NetworkFamiliarity):
            return self._answer_with_share(batch)
        verdict = plan.rule.verdict(self._first.run(batch)[0], familiar=familiar)
        if familiar and plan.rule.near_threshold(verdict, plan.guard_band):
            return Answer(plan.rule.verdict(self.exact.run(batch)[0], rerun=True), Precision.FLOAT32)
        return Answer(verdict, plan.first)

    def _answer_with_share(self, batch: Preprocessed) -> Answer:
        """Return the verdict on one image, 1×H×W×C, of a model with a check on network features."""
        plan = self._plan
        logits, shares = self._with_shares(self._first, batch)
        share = float(shares[0])
        verdict = plan.rule.verdict(logits[0], familiar=is_familiar(share))
        near_limit = is_near_limit(share, plan.familiarity_band)
        if not near_limit and not (is_familiar(share) and plan.rule.near_threshold(verdict, plan.guard_band)):
            return Answer(verdict, plan.first, share)
        logits, shares = self._with_shares(self.exact, batch)
        if near_limit:
            share = float(shares[0])
        return Answer(plan.rule.verdict(logits[0], familiar=is_familiar(share), rerun=True), Precision.FLOAT32, share)

    def answer_all(self, prepared: Preprocessed, familiar: npt.NDArray[np.bool_] | None = None) -> Answers:
        """Return the deciding logits of N images.

        Args:
            prepared: N×H×W×C, each from :meth:`Preprocessor.levels`.
            familiar: bool N, as in :meth:`answer`; by default all True.

        Raises:
            BackendError: as in :meth:`answer`.
        """
        plan, shares = self._plan, None
        if plan.spec.network_check is None:
            logits = self.logits(prepared)
            near = near_threshold(logits, plan.spec, plan.guard_band)
        else:
            logits, shares = self._with_shares(self._first, prepared)
            near = near_threshold(logits, plan.spec, plan.guard_band) & (shares <= 1.0)
            near_limit = self._near_limit(shares)
            near |= near_limit
        if familiar is not None:
            near &= familiar
        if not near.any():
            return Answers(logits, near, shares)
        if shares is None:
            logits[near] = self.exact.run(prepared[near])
        else:
            logits[near], exact = self._with_shares(self.exact, prepared[near])
            shares[near_limit] = exact[near_limit[near]]
        return Answers(logits, near, shares)

    def screen(self, prepared: Preprocessed) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float64] | None]:
        """Return the first file's logits of N images, float32 N×outputs, and the shares, as in :class:`Answers`.

        Near the limit of the check, the share is the float32 file's.

        Args:
            prepared: as in :meth:`answer_all`.

        Raises:
            BackendError: as in :meth:`answer`.
        """
        if self._plan.spec.network_check is None:
            return self.logits(prepared), None
        logits, shares = self._with_shares(self._first, prepared)
        near = self._near_limit(shares)
        if near.any():
            shares[near] = self._with_shares(self.exact, prepared[near])[1]
        return logits, shares

    def _near_limit(self, shares: npt.NDArray[np.float64]) -> npt.NDArray[np.bool_]:
        near = [is_near_limit(share, self._plan.familiarity_band) for share in shares.tolist()]
        return np.array(near, dtype=np.bool_)

    def _with_shares(
        self, file: _File, prepared: Preprocessed
    ) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float64]]:
        """Return logits, float32 N×outputs, and out-of-distribution shares, float64 N, of one invocation an image."""
        check = self._plan.spec.network_check
        if check is None:
            raise TypeError(f"{self._plan.spec.name} has no check on network features")
        logits, moments = file.run_with_moments(prepared)
        return logits, check.shares(moments)

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

    def run_with_moments(
        self, prepared: Preprocessed
    ) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32] | None]:
        """Return the logits, float32 N×outputs, and the moments: see :meth:`Backend.run_with_moments`."""
        logits, moments = self.backend.run_with_moments(self._input(prepared))
        return _finite(logits), moments

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
