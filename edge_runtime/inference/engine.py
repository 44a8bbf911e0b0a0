"""Class :class:`Engine`: one thread's interpreters, for the first model file and for the float32 file.

The first model file runs on every image. The float32 file runs again where the first score lies near a threshold
(:mod:`edge_runtime.decision.rule`).

If the out-of-distribution check uses features of the network, the first file decides about an image, too. Near the
limit of the check, the float32 file decides both: whether the image is out-of-distribution, and its scores.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from math import isfinite
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from edge_runtime.bundle.policy import SitePolicyId
from edge_runtime.bundle.runtime_manifest import Precision
from edge_runtime.bundle.spec import ModelSpec
from edge_runtime.decision.rule import DecisionRule
from edge_runtime.decision.verdict import Verdict
from edge_runtime.errors import BackendError
from edge_runtime.inference.backends.base import Backend
from edge_runtime.inference.prediction import Fallback
from edge_runtime.ood.detector import is_familiar, is_near_limit
from edge_runtime.platform.fork_safety import ForkSafeLock
from edge_runtime.preprocessing.preprocessor import Preprocessed, Preprocessor, look_up
from edge_runtime.serialisation.frozen import dataclass

Opener = Callable[[Precision], Backend]

EXACT = Precision.FLOAT32.value
"""Name of the precision of a rerun."""


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
        statistics: whether each prediction contains the statistics of its image.
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
    statistics: bool = False

    @cached_property
    def first_name(self) -> str:
        """The name of ``first``, for predictions. An enum computes it at every access."""
        return self.first.value


class Answer(NamedTuple):
    """The result of one image.

    Attributes:
        logits: the deciding logits, float32 (outputs,).
        verdict: the decision on them.
        share: out-of-distribution distance divided by the limit; None for a model without such a check.
        exact: whether the logits are from a rerun in float32.
    """

    logits: npt.NDArray[np.float32]
    verdict: Verdict
    share: float | None
    exact: bool


class Engine:
    """Opened model files. Safe to share between threads, but fastest with one thread each."""

    def __init__(self, plan: Plan, first: Backend | None = None) -> None:
        """Open the first model file, unless ``first`` is that file, already opened."""
        self._plan = plan
        self._first = _File(first or plan.open(plan.first), plan)
        self._exact: _File | None = None
        self._lock = ForkSafeLock()

    def answer(self, prepared: Preprocessed, image_share: float | None = None) -> Answer:
        """Return the result of one image.

        Args:
            prepared: H×W×C from :meth:`Preprocessor.levels`.
            image_share: result of the out-of-distribution check that the image alone gives; None without such a check.
                An image above 1 is referred, and float32 does not run for it.

        Raises:
            BackendError: the network returned NaN or infinity, or the engine is closed.
        """
        plan, rule = self._plan, self._plan.rule
        logits, share = self._first.answer(prepared, image_share)
        familiar, near_limit = is_familiar(share), is_near_limit(share, plan.familiarity_band)
        verdict = rule.verdict(logits, familiar=familiar)
        if not (near_limit or (familiar and rule.near_threshold(verdict, plan.guard_band))):
            return Answer(logits, verdict, share, False)
        logits, exact = self.exact.answer(prepared, image_share)
        decided = exact if near_limit else share
        return Answer(logits, rule.verdict(logits, familiar=is_familiar(decided), rerun=True), decided, True)

    def screen(
        self, prepared: Sequence[Preprocessed], image_shares: Sequence[float | None]
    ) -> tuple[npt.NDArray[np.float32], list[float | None]]:
        """Return the first file's logits of N images, float32 N×outputs, and their shares, as in :class:`Answer`.

        Near the limit of the check, the share is the float32 file's.

        Args:
            prepared: each as in :meth:`answer`; at least one.
            image_shares: each as in :meth:`answer`.

        Raises:
            BackendError: as in :meth:`answer`.
        """
        logits, shares = self._first.answers(np.stack(prepared), image_shares)
        for place, share in enumerate(shares):
            if is_near_limit(share, self._plan.familiarity_band):
                shares[place] = self.exact.answer(prepared[place], image_shares[place])[1]
        return logits, shares

    def logits(self, prepared: Preprocessed, *, exact: bool = False) -> npt.NDArray[np.float32]:
        """Return the logits of a single model file for N images, float32 N×outputs.

        Args:
            prepared: N×H×W×C, each from :meth:`Preprocessor.levels`.
            exact: run the float32 file instead of the first file.

        Raises:
            BackendError: as in :meth:`answer`.
        """
        return (self.exact if exact else self._first).run(prepared)[0]

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
                self._exact = _File(self._plan.open(Precision.FLOAT32), self._plan)
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

    def __init__(self, backend: Backend, plan: Plan) -> None:
        self.backend, self._check, values = backend, plan.spec.network_check, plan.preprocessor.values
        self._table: npt.NDArray[Any] | None = None if values is None else backend.quantise(values)

    def answer(self, prepared: Preprocessed, image_share: float | None) -> tuple[npt.NDArray[np.float32], float | None]:
        """Return the logits of one image, float32 (outputs,), and its share: the larger of the image's and this file's.

        ``prepared`` is H×W×C.
        """
        logits, moments = self.run(prepared[np.newaxis])
        if self._check is None:
            return logits[0], image_share
        share = self._check.share(None if moments is None else moments[0])
        return logits[0], max(share, image_share or 0.0)

    def answers(
        self, prepared: Preprocessed, image_shares: Sequence[float | None]
    ) -> tuple[npt.NDArray[np.float32], list[float | None]]:
        """Return the logits of N images, float32 N×outputs, and their shares, with the bits of :meth:`answer`."""
        logits, moments = self.run(prepared)
        if self._check is None:
            return logits, list(image_shares)
        shares = zip(self._check.shares(moments).tolist(), image_shares, strict=True)
        return logits, [max(share, image_share or 0.0) for share, image_share in shares]

    def run(self, prepared: Preprocessed) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32] | None]:
        """Return the logits, float32 N×outputs, and the moments: see :meth:`Backend.run_with_moments`.

        NaN and infinity in the logits raise, so that they never become NEGATIVE.
        """
        tensors = prepared if self._table is None else look_up(prepared, self._table)
        logits, moments = self.backend.run_with_moments(tensors)
        _require_finite(logits)
        return logits, moments

    def outputs(self, prepared: Preprocessed) -> tuple[npt.NDArray[np.float32], ...]:
        """Return all outputs of the file for one image, the logits first."""
        tensors = prepared if self._table is None else look_up(prepared, self._table)
        outputs = self.backend.outputs(tensors)
        _require_finite(outputs[0])
        return outputs


def _require_finite(logits: npt.NDArray[np.float32]) -> None:
    if not isfinite(sum(logits.ravel().tolist())):  # faster than numpy for a few numbers
        raise BackendError("found NaN or infinity in the logits, expected finite numbers. Export the model again.")
