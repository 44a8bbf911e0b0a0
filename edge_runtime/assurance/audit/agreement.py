"""Whether a results file agrees with an audit log: each answer is of a model that the log says answered then."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from edge_runtime.assurance.audit.clock import milliseconds
from edge_runtime.assurance.audit.keyed_hash import keyed_hash, message_of
from edge_runtime.assurance.audit.periods import AuditHistory, ModelPeriod
from edge_runtime.results.entries import ResultsEntry
from edge_runtime.results.record import LineKind

_SHOWN = 20


@dataclass
class Agreement:
    """The comparison of a results file with a log.

    Attributes:
        lines: number of answers and failures in the file.
        agreeing: number of these that lie in a period of their bundle.
        strangers: line number → what the log does not know, for the first of the others.
        too_many: differences in the counts: more answers of a bundle than the log counted.
        hashed: number of answers that a keyed hash of the log confirms; None without a key.
        answers: number of predictions in the file.
    """

    lines: int = 0
    agreeing: int = 0
    strangers: dict[int, str] = field(default_factory=dict)
    too_many: list[str] = field(default_factory=list)
    hashed: int | None = None
    answers: int = 0

    @property
    def holds(self) -> bool:
        """Whether nothing in the file contradicts the log."""
        return self.agreeing == self.lines and not self.too_many and self.hashed in (None, self.answers)


class AgreementCheck:
    """Compares the lines of a results file with a log."""

    def __init__(self, history: AuditHistory, key: bytes | None = None) -> None:
        self._by_bundle: dict[str, list[ModelPeriod]] = {}
        for period in history.periods:
            self._by_bundle.setdefault(period.model.bundle, []).append(period)
        self._hashes, self._key = history.hashes, key
        self._counts: Counter[str] = Counter()
        self._messages: list[bytes] = []
        self._found = Agreement()

    def take(self, entry: ResultsEntry) -> None:
        """Compare one line; damaged lines and left-out files are not answers."""
        line = entry.line
        if line is None or line.kind is LineKind.LEFT_OUT:
            return
        found = self._found
        found.lines += 1
        if line.kind is LineKind.ANSWER:
            found.answers += 1
            self._counts[line.bundle] += 1
            if self._key is not None:
                self._messages.append(message_of(json.loads(entry.data)))
        fault = self._fault(line.bundle, line.time)
        if not fault:
            found.agreeing += 1
        elif len(found.strangers) < _SHOWN:
            found.strangers[entry.number] = fault

    def result(self) -> Agreement:
        """Return the comparison of all lines."""
        for bundle, count in sorted(self._counts.items()):
            periods = self._by_bundle.get(bundle, [])
            logged = sum(period.decisions.total() for period in periods)
            if count > logged and all(period.end is not None for period in periods):
                self._found.too_many.append(f"{count} answers of bundle {bundle}, the log counts {logged}")
        if self._key is not None:
            self._found.hashed = _confirmed(self._key, self._messages, self._hashes)
        return self._found

    def _fault(self, bundle: str, time: str) -> str:
        periods = self._by_bundle.get(bundle)
        if not periods:
            return f"bundle {bundle} is not in the log"
        if not any(period.covers(milliseconds(time)) for period in periods):
            return f"bundle {bundle} was not in use at {time}"
        return ""


def _confirmed(key: bytes, messages: list[bytes], hashes: Iterable[tuple[int, str]]) -> int:
    """Return how many messages the hashes confirm, in order. Hashes of other results files are passed over."""
    place = 0
    for count, found in hashes:
        if keyed_hash(key, messages[place : place + count]) == found:
            place += count
    return place
