"""Entries and logs that tests make."""

from __future__ import annotations

from pathlib import Path

from edge_runtime.assurance.audit.events import AnswerCounts, ModelAdmitted, Started, Summary
from edge_runtime.assurance.audit.log import AuditLog
from edge_runtime.selftest.machine import Machine

MACHINE = Machine("x86_64", "some processor", "some system", "3.11.7", {"numpy": "2.4.6"})
BUNDLE, CONTRACT, RUN = "b" * 64, "c" * 64, "0123456789abcdef"


def started(command: str = "edge-serve") -> Started:
    return Started(command, "edge-predict 1", MACHINE)


def admitted(bundle: str = BUNDLE, version: str = "1.0.0", model: str = "some-model") -> ModelAdmitted:
    return ModelAdmitted(model, version, bundle, CONTRACT, "litert", "int8")


def counted(positive: int = 1, bundle: str = BUNDLE, keyed_hash: str | None = None, **failures: int) -> Summary:
    decisions = {"POSITIVE ABOVE_CUTOFF": positive} if positive else {}
    answers = AnswerCounts("some-model", "1.0.0", bundle, decisions, failures, 0)
    return Summary("2026-01-01T00:00:00.000Z", (answers,), keyed_hash)


def written(path: Path, entries: int = 6) -> AuditLog:
    """Write a log with this many entries, each in an append of its own."""
    log = AuditLog(path)
    for number in range(entries):
        log.append([started() if number == 0 else counted(number)], RUN)
    return log
