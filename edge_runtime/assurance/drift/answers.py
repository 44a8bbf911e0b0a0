"""Read the answers of one model from results files, whole or rotated, in a span of time."""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, BinaryIO

from edge_runtime.assurance.drift.case_rule import CaseRule
from edge_runtime.assurance.drift.observations import Observation, Observations, observation
from edge_runtime.errors import DriftError
from edge_runtime.platform.machine_faults import machine_error
from edge_runtime.results.checks import check_release, damaged, results_error
from edge_runtime.results.entries import ResultsEntry, entries
from edge_runtime.results.lines import Origin
from edge_runtime.results.record import LineKind
from edge_runtime.serialisation.records import canonical_json

_GZIP = b"\x1f\x8b"
_FORMAT = "%Y-%m-%dT%H:%M:%S.%fZ"


@dataclass(frozen=True)
class Span:
    """Which answers are compared.

    Attributes:
        since, until: RFC 3339 in UTC or the beginning of it, such as ``2026-03-01``; empty for no limit.
        days: only the days before the newest answer; None for no limit.
        cases: only the newest cases; None for no limit.
    """

    since: str = ""
    until: str = ""
    days: float | None = None
    cases: int | None = None

    def holds(self, time: str) -> bool:
        """Return whether a time lies between ``since`` and ``until``; both are included."""
        return self.since <= time and (not self.until or time[: len(self.until)] <= self.until)

    def begin(self, newest: str) -> str:
        """Return the earliest time that counts, given the newest answer's."""
        if self.days is None:
            return ""
        start = datetime.strptime(newest, _FORMAT) - timedelta(days=self.days)
        return start.strftime(_FORMAT)[:-4] + "Z"


@dataclass(frozen=True, eq=False)
class Answers:
    """The answers of one model.

    Attributes:
        origin: model and thresholds.
        site: the key ``site`` of all answers, and their site policy if they have one.
        observations: the images.
        notes: what was left out, a sentence each.
    """

    origin: Origin
    site: str
    observations: Observations
    notes: tuple[str, ...]


@dataclass(frozen=True)
class _Read:
    """One line: its file and number, its parsed fields, and the model of an answer."""

    where: str
    fields: dict[str, Any]
    origin: Origin | None


def read_answers(paths: Sequence[Path], rule: CaseRule, span: Span, *, each_time: bool = False) -> Answers:
    """Read answers and failures from results files, in any order of the files.

    An image that has several lines counts once, with the newest. Files may be compressed with gzip.

    Args:
        paths: the files.
        rule: names the case of each image.
        span: the answers that count.
        each_time: count an image of several lines each time, as a phantom is answered each day.

    Raises:
        ResultsError: a file cannot be read, a line is damaged, or another release wrote it.
        DriftError: ``drift_mixed``: several models, contracts, thresholds or site policies; ``drift_few_cases``: no
            answer in the span; ``drift_cases``: an image has no case.
    """
    notes: list[str] = []
    lines = [line for path in paths for line in _lines(path, notes) if span.holds(line.fields["time"])]
    if lines:
        begin = span.begin(max(line.fields["time"] for line in lines))
        lines = [line for line in lines if line.fields["time"] >= begin]
    origin, site = _one_model(lines)
    rows = [observation(line.fields, rule.case_of(line.fields["image"])) for line in lines]
    if not each_time:
        rows, repeated = _newest(lines, rows)
        notes += [f"{repeated} lines of images that have a newer line were left out."] if repeated else []
    found = Observations.of(rows)
    if span.cases is not None:
        found = found.last_cases(span.cases)
    return Answers(origin, site, found, tuple(notes))


def with_rotated(paths: Sequence[Path]) -> list[Path]:
    """Return the files, each with those that logrotate made of it: ``NAME.1``, ``NAME.2.gz``, ``NAME-20260301``."""
    found: list[Path] = []
    for path in paths:
        rotated = re.compile(re.escape(path.name) + r"(\.\d+|-\d{8,14})(\.gz)?", re.ASCII)
        beside = path.parent.iterdir() if path.parent.is_dir() else ()
        found += [path, *sorted(other for other in beside if rotated.fullmatch(other.name))]
    return list(dict.fromkeys(found))


def _newest(lines: list[_Read], rows: list[Observation]) -> tuple[list[Observation], int]:
    """Return one row for each image, the newest, and the number of lines left out."""
    newest: dict[str, Observation] = {}
    for line, row in sorted(zip(lines, rows, strict=True), key=lambda pair: pair[1].time):
        keys = ("image", "sha256", "region", "file")
        newest[json.dumps([line.fields.get(key) for key in keys], sort_keys=True)] = row
    return list(newest.values()), len(rows) - len(newest)


def _one_model(lines: list[_Read]) -> tuple[Origin, str]:
    """Return model and site policy of the answers, if they are all of one."""
    first = next((line for line in lines if line.origin is not None), None)
    if first is None or first.origin is None:
        raise DriftError(
            f"found {len(lines)} lines and no answer in the span of time, expected answers of a model. Name other "
            "files, or change --since and --window.",
            code="drift_few_cases",
        )
    site = _site(first.fields)
    for line in lines:
        differences = [] if line.origin is None else first.origin.differences(line.origin)
        if line.origin is None and line.fields["bundle"] != first.origin.bundle:
            differences = [f"bundle {first.origin.bundle}, not {line.fields['bundle']}"]
        if line.origin is not None and _site(line.fields) != site:
            differences.append(f"site {site}, not {_site(line.fields)}")
        if differences:
            raise DriftError(
                f"{line.where}: found an answer of another model, contract or site policy than in {first.where} "
                f"({'; '.join(differences)}), expected one. Choose the answers of one with --since and --until.",
                code="drift_mixed",
            )
    return first.origin, site


def _site(fields: dict[str, Any]) -> str:
    """Return the key ``site``, with the site policy if the answer names one."""
    policy = fields.get("site_policy")
    return str(fields.get("site", "uncalibrated")) + ("" if policy is None else f", policy {canonical_json(policy)}")


def _lines(path: Path, notes: list[str]) -> Iterator[_Read]:
    """Yield the answers and failures of a file; left-out files have no line here."""
    torn: ResultsEntry | None = None
    try:
        with _opened(path) as file:
            for entry in entries(file):
                if torn is not None:
                    raise damaged(path, torn)
                check_release(path, entry)
                if entry.line is None:
                    if not entry.torn:
                        raise damaged(path, entry)
                    torn = entry
                elif entry.line.kind is not LineKind.LEFT_OUT:
                    yield _Read(f"{path}, line {entry.number}", json.loads(entry.data), entry.line.origin)
    except OSError as error:
        if fault := machine_error(error, str(path)):
            raise fault from None
        text = f"found {error.strerror or error}, expected a results file. Name another file."
        raise results_error(path, "unusable", text) from None
    except EOFError:
        raise results_error(path, "damaged", "found a gzip file without its end. Copy it again.") from None
    if torn is not None:
        notes.append(f"{path.name}: the last line is incomplete and was left out.")


def _opened(path: Path) -> BinaryIO:
    if not path.is_file():
        raise results_error(path, "unusable", "found no regular file, expected a results file. Name another file.")
    with path.open("rb") as file:
        packed = file.read(len(_GZIP)) == _GZIP
    return gzip.open(path) if packed else path.open("rb")  # type: ignore[return-value]


def same_model(answers: Answers, origin: Origin, where: str) -> None:
    """Check that a reference is of the same model, contract and thresholds as the answers; bundles may differ.

    ``bundle.json`` also holds figures that do not change an answer, such as the reference itself.

    Raises:
        DriftError: ``drift_other_model``.
    """
    mine, theirs = replace(answers.origin, bundle=""), replace(origin, bundle="")
    differences = mine.differences(theirs)
    if not differences:
        return
    other, remedy = "model", "Name the model with --model, or a reference with --reference."
    if (mine.model, mine.version, mine.contract) == (theirs.model, theirs.version, theirs.contract):
        other = "pair of thresholds"
        remedy = (
            "Make the site's own reference of answers with these thresholds: edge-predict drift RESULTS "
            "--write-reference FILE, then use --reference FILE."
        )
    raise DriftError(
        f"{where}: found a reference for another {other} than the answers' ({'; '.join(differences)}), expected the "
        f"same. {remedy}",
        code="drift_other_model",
    )
