"""Which models answered when, by an audit log: one period for each model of each run."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from edge_runtime.assurance.audit.clock import milliseconds
from edge_runtime.assurance.audit.entry import SealedEntry
from edge_runtime.assurance.audit.events import AnswerCounts, ModelAdmitted, SelfTested, Started, Stopped, Summary

TOLERANCE_MS = 5000
"""How far the time of an answer may lie outside a period: the clocks are read at different moments."""


@dataclass
class ModelPeriod:
    """A model in a run.

    Attributes:
        run, command, software: of the run.
        model: the model, with its hashes.
        begin: time of its entry.
        end: time of the entry that ended it; None while it may still answer, or after a kill.
        last: time of the last entry that counts its answers, or ``begin``.
        decisions, failures, slides: sums of its counts.
    """

    run: str
    command: str
    software: str
    model: ModelAdmitted
    begin: str
    end: str | None = None
    last: str = ""
    decisions: Counter[str] = field(default_factory=Counter)
    failures: Counter[str] = field(default_factory=Counter)
    slides: int = 0

    def covers(self, time_ms: int) -> bool:
        """Return whether a time in milliseconds lies in the period."""
        end = None if self.end is None else milliseconds(self.end) + TOLERANCE_MS
        return milliseconds(self.begin) - TOLERANCE_MS <= time_ms and (end is None or time_ms <= end)

    def count(self, answers: AnswerCounts, time: str) -> None:
        """Add the counts of a summary."""
        self.decisions.update(answers.decisions)
        self.failures.update(answers.failures)
        self.slides, self.last = self.slides + answers.slides, time


@dataclass
class AuditHistory:
    """What a log says, in order.

    Attributes:
        periods: the models of all runs.
        selftests: bundle → its last self-test.
        hashes: number of predictions, and keyed hash, of each summary that has one.
    """

    periods: list[ModelPeriod] = field(default_factory=list)
    selftests: dict[str, SelfTested] = field(default_factory=dict)
    hashes: list[tuple[int, str]] = field(default_factory=list)
    _starts: dict[str, Started] = field(default_factory=dict)
    _of_run: dict[str, list[ModelPeriod]] = field(default_factory=dict)

    def take(self, sealed: SealedEntry) -> None:
        """Learn from an entry."""
        entry, event = sealed.entry, sealed.entry.event
        run = entry.run or ""
        if isinstance(event, Started):
            self._starts[run] = event
        elif isinstance(event, ModelAdmitted):
            self._admit(run, event, entry.time)
        elif isinstance(event, Summary):
            self._summarise(run, event, entry.time)
        elif isinstance(event, Stopped):
            for period in self._open(run):
                period.end = entry.time
        elif isinstance(event, SelfTested):
            self.selftests[event.bundle] = event

    def unended(self) -> list[ModelPeriod]:
        """Return the periods without an end: the run still goes on, or it was killed."""
        return [period for period in self.periods if period.end is None]

    def _admit(self, run: str, model: ModelAdmitted, time: str) -> None:
        for period in self._open(run):
            if period.model.model == model.model:
                period.end = time
        start = self._starts.get(run)
        command, software = ("", "") if start is None else (start.command, start.software)
        period = ModelPeriod(run, command, software, model, time, last=time)
        self.periods.append(period)
        self._of_run.setdefault(run, []).append(period)

    def _summarise(self, run: str, event: Summary, time: str) -> None:
        for answers in event.answers:
            of_run = [each for each in self._of_run.get(run, ()) if each.model.bundle == answers.bundle]
            if of_run:
                of_run[-1].count(answers, time)
        if event.keyed_hash is not None:
            self.hashes.append((sum(answers.answered for answers in event.answers), event.keyed_hash))

    def _open(self, run: str) -> list[ModelPeriod]:
        return [period for period in self._of_run.get(run, ()) if period.end is None]
