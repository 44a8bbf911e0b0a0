"""Record the run of one command in an audit log: its start, its models, counts of its answers, and its end.

A log that cannot be written at the start stops the command. Later it never does: answers go on, the fault is told at
once, counts are kept, and the log says what it missed as soon as it can be written.
"""

from __future__ import annotations

import os
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from time import monotonic

from edge_runtime import __version__
from edge_runtime.assurance.audit.entry import Link
from edge_runtime.assurance.audit.events import (
    AnswerCounts,
    Event,
    Missed,
    ModelAdmitted,
    Started,
    Stopped,
    Summary,
)
from edge_runtime.assurance.audit.keyed_hash import keyed_hash, message_of
from edge_runtime.assurance.audit.log import AuditLog
from edge_runtime.assurance.audit.recorder import PERIOD_S, Recorder, Result
from edge_runtime.errors import AuditError, AuditWriteError, EdgeError
from edge_runtime.inference.prediction import Failure, Prediction, now
from edge_runtime.predictor import Predictor
from edge_runtime.selftest.machine import this_machine

HEARTBEAT_S = 86_400.0
"""Seconds after which a summary is written although there were no answers."""
RETRY_S = 10.0
"""Seconds between two attempts while the log cannot be written."""
SOFTWARE = f"edge-predict {__version__}"
Tell = Callable[[EdgeError], object]


@dataclass(frozen=True)
class AuditSettings:
    """Where and how a command records.

    Attributes:
        path: file of the log.
        period_s: seconds between two summaries; 0 for one entry for each answer.
        key: key of the keyed hashes; None for none.
    """

    path: Path
    period_s: float = PERIOD_S
    key: bytes | None = None


class LogRecorder(Recorder):
    """Records a run in a log. Threads may share it."""

    def __init__(self, settings: AuditSettings, command: str, tell: Tell) -> None:
        """Write the start.

        Args:
            settings: where and how.
            command: name of the command.
            tell: receives the error when the log cannot be written any more.

        Raises:
            AuditError, AuditWriteError: as in :meth:`AuditLog.append`.
        """
        self._log, self._settings, self._tell = AuditLog(settings.path), settings, tell
        self._run = os.urandom(8).hex()
        self._counting, self._writing = threading.Lock(), threading.Lock()
        self._counts: Counter[tuple[str, str, str]] = Counter()
        self._messages: list[bytes] = []
        self._models: dict[str, ModelAdmitted] = {}
        self._waiting: list[Event] = []
        self._failed, self._failing, self._failing_since, self._code = 0, 0, "", ""
        self._log.append([Started(command, SOFTWARE, this_machine())], self._run)
        self._since, self._written_at, self._tried_at = now(), monotonic(), monotonic()

    @property
    def on(self) -> bool:
        return True

    @property
    def head(self) -> Link | None:
        return self._log.head

    @property
    def failures(self) -> int:
        return self._failed

    @property
    def each(self) -> bool:
        return self._settings.period_s == 0

    def admit(self, predictor: Predictor, *, certificate: str | None = None) -> None:
        self.admit_model(lambda: ModelAdmitted.of(predictor, certificate))

    def admit_model(self, model: Callable[[], ModelAdmitted]) -> None:
        admitted = model()
        with self._counting:
            self._models[admitted.bundle] = admitted
            self._waiting.append(admitted)
        self._write()

    def answer(self, answer: Prediction | Failure, bundle: str | None = None) -> None:
        named = answer.bundle or bundle or ""
        if isinstance(answer, Failure):
            self.count(named, failure=answer.error.code)
            return
        if self._settings.key is not None:
            message = message_of(answer.to_dict())
            with self._counting:
                self._messages.append(message)
        self.count(named, decision=f"{answer.verdict.decision.value} {answer.verdict.reason.value}")

    def count(self, bundle: str, *, decision: str = "", failure: str = "", times: int = 1) -> None:
        with self._counting:
            self._counts[bundle, decision, failure] += times

    def through(
        self, results: Iterator[Result], of: Callable[[Result], Prediction | Failure], bundle: str
    ) -> Iterator[Result]:
        for result in results:
            self.answer(of(result), bundle)
            self.tick()
            yield result

    def tick(self) -> None:
        waited = monotonic() - self._written_at
        if self._failing and monotonic() - self._tried_at < RETRY_S:
            return
        due = waited >= self._settings.period_s and (self._counts or self._waiting)
        if due or self._failing or waited >= HEARTBEAT_S:
            self._write(summary=True)

    def stop(self, status: int, code: str | None = None) -> None:
        error = self._write(Stopped(status, code), summary=bool(self._counts))
        if error is not None:
            raise error

    def _write(self, last: Event | None = None, *, summary: bool = False) -> AuditError | AuditWriteError | None:
        """Write what waits, a summary if wanted, and a last event. Return the error if that failed."""
        with self._writing:
            with self._counting:
                waiting, counts, messages = tuple(self._waiting), self._counts.copy(), len(self._messages)
            events: list[Event] = [] if not self._failing else [Missed(self._failing_since, self._failing, self._code)]
            events += waiting
            if summary:
                events.append(self._summary(counts, messages))
            events += [] if last is None else [last]
            self._tried_at = monotonic()
            try:
                self._log.append(events, self._run)
            except (AuditError, AuditWriteError) as error:
                self._fail(error)
                return error
            self._failing = 0
            with self._counting:
                del self._waiting[: len(waiting)]
                if summary:
                    self._counts -= counts
                    del self._messages[:messages]
            if summary:
                self._since, self._written_at = now(), monotonic()
            return None

    def _summary(self, counts: Counter[tuple[str, str, str]], messages: int) -> Summary:
        bundles = sorted({bundle for bundle, _, _ in counts})
        key = self._settings.key
        hashed = None if key is None or not messages else keyed_hash(key, self._messages[:messages])
        return Summary(self._since, tuple(self._answers(bundle, counts) for bundle in bundles), hashed)

    def _answers(self, bundle: str, counts: Counter[tuple[str, str, str]]) -> AnswerCounts:
        model = self._models.get(bundle)
        name, version = ("", "") if model is None else (model.model, model.version)
        of_bundle = sorted((key, count) for key, count in counts.items() if key[0] == bundle)
        decisions = {decision: count for (_, decision, _), count in of_bundle if decision}
        failures = {failure: count for (_, _, failure), count in of_bundle if failure}
        return AnswerCounts(name, version, bundle, decisions, failures, counts[bundle, "", ""])

    def _fail(self, error: AuditError | AuditWriteError) -> None:
        self._failed += 1
        if not self._failing:
            self._failing_since = now()
            self._tell(error)
        self._failing, self._code = self._failing + 1, error.code
