"""What a command tells of its run. This recorder records nothing; it is used where no audit log is wanted.

It is in a module of its own, so that a command without an audit log loads nothing of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, TypeVar

from edge_runtime.inference.prediction import Failure, Prediction
from edge_runtime.predictor import Predictor

if TYPE_CHECKING:
    from edge_runtime.assurance.audit.entry import Link
    from edge_runtime.assurance.audit.events import ModelAdmitted

Result = TypeVar("Result")

PERIOD_S = 3600
"""Seconds between two summaries."""


class Recorder:
    """Records nothing."""

    @property
    def on(self) -> bool:
        """Whether there is a log."""
        return False

    @property
    def head(self) -> Link | None:
        """The last entry that this run wrote; None if there is no log."""
        return None

    @property
    def failures(self) -> int:
        """Number of failed attempts to write."""
        return 0

    @property
    def each(self) -> bool:
        """Whether each answer has an entry of its own."""
        return False

    def admit(self, predictor: Predictor, *, certificate: str | None = None) -> None:
        """From now on, this model answers; ``certificate`` is the SHA-256 of that of its self-test here."""

    def admit_model(self, model: Callable[[], ModelAdmitted]) -> None:
        """The same for a model that this process does not load; the function is called if there is a log."""

    def answer(self, answer: Prediction | Failure, bundle: str | None = None) -> None:
        """Count a prediction, or an image without one. ``bundle`` is its bundle if the answer does not name one."""

    def count(self, bundle: str, *, decision: str = "", failure: str = "", times: int = 1) -> None:
        """Count a decision with its reason, an error code, or, without both, a slide."""

    def through(
        self, results: Iterator[Result], of: Callable[[Result], Prediction | Failure], bundle: str
    ) -> Iterator[Result]:
        """Return the results; ``of`` gives what is counted of each, before it is used."""
        return results

    def tick(self) -> None:
        """Write what is due; call it about once a second, and after each answer if :attr:`each`."""

    def stop(self, status: int, code: str | None = None) -> None:
        """Write the end of the run.

        Raises:
            AuditError, AuditWriteError: it could not be written.
        """


NO_RECORDER = Recorder()
