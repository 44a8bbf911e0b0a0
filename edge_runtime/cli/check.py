"""The command ``edge-predict check``: summarise a results file and verify the checksum of every line."""

from __future__ import annotations

import json
import sys
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import click

from edge_runtime.cli.compared_log import ComparedLog
from edge_runtime.cli.exit_codes import stops_command
from edge_runtime.cli.output import say
from edge_runtime.platform.machine_faults import machine_error
from edge_runtime.results.checks import results_error
from edge_runtime.results.entries import ResultsEntry, entries
from edge_runtime.results.lines import ImageIdentity
from edge_runtime.results.record import Line, LineKind

EXIT_DAMAGED = 1
_SHOWN = 20
"""Largest number of damaged lines that are listed."""
_EXIT_CODES = """\b
Exit status:
  0    every line is valid, and the audit log, if it is given, agrees
  1    the file contains damaged lines, or lines of another release; or the
       audit log does not hold, or does not agree
  2    a file cannot be read"""


@dataclass
class ResultsSummary:
    """Counts of the lines of a results file.

    Attributes:
        said: number of lines by kind and by outcome (:attr:`Line.said`).
        models: number of predictions by model, version and bundle.
        bundles: number of lines by bundle.
        times: the earliest and the latest time of any line.
        seen: number of lines of each image.
        damaged: damaged lines that are followed by a valid line.
        tail: damaged lines at the end of the file.
    """

    said: dict[LineKind, Counter[str]] = field(default_factory=lambda: {kind: Counter() for kind in LineKind})
    models: Counter[str] = field(default_factory=Counter)
    bundles: Counter[str] = field(default_factory=Counter)
    times: list[str] = field(default_factory=list)
    seen: Counter[ImageIdentity] = field(default_factory=Counter)
    damaged: list[ResultsEntry] = field(default_factory=list)
    tail: list[ResultsEntry] = field(default_factory=list)

    def take(self, entry: ResultsEntry) -> None:
        """Count one entry. Damaged entries belong to the tail until a valid line follows."""
        if entry.line is None:
            self.tail.append(entry)
            return
        self.damaged += self.tail
        self.tail = []
        self._count(entry.line)

    def _count(self, line: Line) -> None:
        self.said[line.kind][line.said] += 1
        self.seen[line.identity] += 1
        self.bundles[line.bundle] += 1
        if line.origin is not None:
            self.models[f"{line.origin.model} {line.origin.version}, bundle {line.bundle}"] += 1
        times = sorted((*self.times, line.time))
        self.times = [times[0], times[-1]]


@click.command(epilog=_EXIT_CODES, context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("file", type=click.Path(path_type=Path), metavar="FILE")
@click.option("--audit", type=click.Path(path_type=Path), metavar="LOG", help="Compare with this audit log.")
@click.option("--audit-key", type=click.Path(path_type=Path), metavar="KEY", help="The key of its keyed hashes.")
def check(file: Path, audit: Path | None, audit_key: Path | None) -> None:
    """Summarise a results file of edge-predict and check every line.

    With an audit log: verify it, show which models answered when, and check that each line is of one of them.
    """
    if audit is None and audit_key is not None:
        raise click.UsageError("--audit-key needs --audit LOG.")
    with stops_command():
        compared = None if audit is None else ComparedLog.read(audit, audit_key)
        content = _content(file, compared)
        for row in rows(content):
            say(row)
        for row in () if compared is None else compared.rows():
            say(row)
    if content.damaged or content.tail or (compared is not None and not compared.holds):
        sys.exit(EXIT_DAMAGED)


def _content(path: Path, compared: ComparedLog | None) -> ResultsSummary:
    content = ResultsSummary()
    try:
        if not path.is_file():
            raise results_error(path, "unusable", "found no regular file, expected a results file.")
        with path.open("rb") as file:
            for entry in entries(file):
                content.take(entry)
                if compared is not None:
                    compared.take(entry)
    except OSError as error:
        if fault := machine_error(error, str(path)):
            raise fault from None
        raise results_error(path, "unusable", f"found {error.strerror}, expected a file to read.") from None
    return content


def rows(content: ResultsSummary) -> list[str]:
    """Return the lines of the report."""
    lines = []
    for kind, outcomes in content.said.items():
        lines.append(f"{kind.value:9} {outcomes.total():7}")
        lines += [f"          {count:7}  {json.dumps(text)[1:-1]}" for text, count in sorted(outcomes.items())]
    lines += [f"model     {count:7}  {name}" for name, count in sorted(content.models.items())]
    others = content.bundles.keys() - {name.rpartition(" ")[2] for name in content.models}
    lines += [f"bundle    {content.bundles[name]:7}  {name}, no answer" for name in sorted(others)]
    if content.times:
        lines.append(f"time      {content.times[0]} to {content.times[-1]}")
    twice = sum(count > 1 for count in content.seen.values())
    lines.append(f"twice     {twice:7}  images that have more than one line")
    lines.append(f"damaged   {len(content.damaged) + len(content.tail):7}")
    damaged = [*content.damaged, *content.tail]
    lines += [f"          line {entry.number}: {_fault(entry, content)}" for entry in damaged[:_SHOWN]]
    return lines + ([f"          and {len(damaged) - _SHOWN} more"] if len(damaged) > _SHOWN else [])


def _fault(entry: ResultsEntry, content: ResultsSummary) -> str:
    if entry.release:
        return f"of another release ({entry.release})"
    end = "; at the end of the file, --resume moves it aside" if content.tail and entry is content.tail[0] else ""
    return f"{entry.fault}{end}"
