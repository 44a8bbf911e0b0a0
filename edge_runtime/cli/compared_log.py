"""The option ``--audit`` of ``edge-predict check``: an audit log beside a results file, and whether they agree."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from edge_runtime.assurance.audit.agreement import Agreement, AgreementCheck
from edge_runtime.assurance.audit.keyed_hash import read_key
from edge_runtime.assurance.audit.periods import AuditHistory
from edge_runtime.assurance.audit.verification import Verification, verify_log
from edge_runtime.cli.audit import periods
from edge_runtime.cli.audit import rows as rows_of_log
from edge_runtime.results.entries import ResultsEntry


@dataclass(frozen=True, eq=False)
class ComparedLog:
    """A verified audit log, to compare the lines of a results file with."""

    verification: Verification
    history: AuditHistory
    check: AgreementCheck

    @classmethod
    def read(cls, log: Path, key: Path | None) -> ComparedLog:
        """Read and verify the log.

        Raises:
            AuditError: the log or the key cannot be read.
        """
        secret = None if key is None else read_key(key)
        history = AuditHistory()
        found = verify_log(log, take=history.take)
        return cls(found, history, AgreementCheck(history, secret))

    def take(self, entry: ResultsEntry) -> None:
        """Compare one line of the results file."""
        self.check.take(entry)

    @cached_property
    def agreement(self) -> Agreement:
        """The comparison, after the last line."""
        return self.check.result()

    @property
    def holds(self) -> bool:
        """Whether the chain holds and the results file agrees with it."""
        return self.verification.holds and self.agreement.holds

    def rows(self) -> list[str]:
        """Return the report as lines."""
        found = self.agreement
        lines = ["", "audit log", *rows_of_log(self.verification), *periods(self.history)]
        lines.append(f"agrees    {found.agreeing:7}  of {found.lines} lines are of a model that answered then")
        lines += [f"          line {number}: {text}" for number, text in found.strangers.items()]
        lines += [f"          {text}" for text in found.too_many]
        if found.hashed is not None:
            lines.append(f"confirmed {found.hashed:7}  of {found.answers} answers, by keyed hashes")
        return lines
