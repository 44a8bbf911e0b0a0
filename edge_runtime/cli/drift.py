"""The command ``edge-predict drift``: whether a site's answers moved, since when, and how sure that is."""

from __future__ import annotations

import json
import re
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import click

from edge_runtime.assurance.drift.answers import Answers, Span, read_answers, same_model, with_rotated
from edge_runtime.assurance.drift.case_rule import CaseList, CaseRule, EachImage, NamePattern
from edge_runtime.assurance.drift.charts import BASELINE_DAYS, RUN_LENGTH, Control, charts_of
from edge_runtime.assurance.drift.drift import FALSE_ALARMS, Finding, drift_of
from edge_runtime.assurance.drift.page import charts_page, drift_page
from edge_runtime.assurance.drift.prometheus import chart_metrics, drift_metrics
from edge_runtime.assurance.drift.reference import (
    SCHEMA,
    SiteReference,
    read_site_reference,
    reference_of,
    write_site_reference,
)
from edge_runtime.assurance.drift.text import charts_text, drift_text
from edge_runtime.bundle.bundle import find, key_in_force
from edge_runtime.bundle.reference_distribution import ReferenceDistribution
from edge_runtime.cli.exit_codes import EXIT_SOME_FAILED, Command, stops_command
from edge_runtime.cli.output import say, tell, write_file
from edge_runtime.errors import BundleNotFoundError, DriftError
from edge_runtime.results.lines import Origin
from edge_runtime.serialisation.records import to_dict

EXIT_DRIFT = EXIT_SOME_FAILED
EXIT_TOO_FEW = 7
_EXIT_CODES = """\b
Exit status:
  0    no drift shown, and one of a standard deviation would have been found
  1    drift found, or the phantom is out of control
  2    the command line, a results file, the cases or the reference is
       invalid, or models are mixed
  3    the model cannot be trusted
  6    the machine failed; run the command again
  7    too few cases or days: nothing was found, and it might have been missed"""
_FILE = click.Path(path_type=Path, dir_okay=False)
_DATE = re.compile(r"\d{4}(-\d\d(-\d\d(T\d\d(:\d\d(:\d\d(\.\d{1,3})?Z?)?)?)?)?)?", re.ASCII)
_WINDOW = re.compile(r"([1-9]\d{0,6})(d?)", re.ASCII)


@dataclass(frozen=True)
class DriftOptions:
    """The values of all options."""

    files: tuple[Path, ...]
    rotated: bool
    cases: Path | None
    case_pattern: str | None
    model: str | None
    reference: Path | None
    window: str | None
    since: str | None
    until: str | None
    false_alarms: float
    write_reference: Path | None
    charts: bool
    baseline: int
    run_length: float
    as_json: bool
    page: Path | None
    prometheus: Path | None

    def rule(self) -> CaseRule:
        """Return the rule that names cases."""
        if self.cases is not None:
            return CaseList.read(self.cases)
        return EachImage() if self.case_pattern is None else NamePattern.of(self.case_pattern)

    def span(self) -> Span:
        """Return the span of the answers that count."""
        window = None if self.window is None else _WINDOW.fullmatch(self.window)
        span = Span(self.since or "", self.until or "")
        if window is None:
            return span
        return replace(span, days=float(window[1])) if window[2] else replace(span, cases=int(window[1]))


def _date(_context: click.Context, _parameter: click.Parameter, text: str | None) -> str | None:
    if text is None or _DATE.fullmatch(text):
        return text
    raise click.BadParameter(f"{text!r} is no date in UTC. Give one such as 2026-03-01 or 2026-03-01T12:00.")


def _window(_context: click.Context, _parameter: click.Parameter, text: str | None) -> str | None:
    if text is None or _WINDOW.fullmatch(text):
        return text
    raise click.BadParameter(f"{text!r} is no window. Give days such as 30d, or a number of cases such as 200.")


@click.command(cls=Command, epilog=_EXIT_CODES, context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("files", metavar="RESULTS...", nargs=-1, required=True, type=_FILE)
@click.option("--rotated", is_flag=True, help="Also read what logrotate made of RESULTS: .1, .2.gz, -20260301.")
@click.option("--cases", type=_FILE, metavar="CSV", help="List of the cases, with the columns case and image.")
@click.option("--case-pattern", metavar="REGEX", help="The part of an image's path that names its case.")
@click.option("--model", metavar="NAME|PATH", help="The bundle whose reference is used, in place of the installed one.")
@click.option("--reference", type=_FILE, metavar="FILE", help="The site's own reference, in place of the model's.")
@click.option("--window", callback=_window, metavar="DAYSd|CASES", help="Only the newest days (30d) or cases (200).")
@click.option("--since", callback=_date, metavar="DATE", help="Only answers from this time on, in UTC.")
@click.option("--until", callback=_date, metavar="DATE", help="Only answers up to this time, in UTC.")
@click.option(
    "--false-alarms",
    type=click.FloatRange(0, 0.5, min_open=True),
    default=FALSE_ALARMS,
    show_default=True,
    metavar="SHARE",
    help="Probability that a report without a drift finds one.",
)
@click.option("--write-reference", type=_FILE, metavar="FILE", help="Make the site's reference of these answers.")
@click.option("--charts", is_flag=True, help="Draw control charts: RESULTS are of a phantom scanned each day.")
@click.option(
    "--baseline",
    type=click.IntRange(1),
    default=BASELINE_DAYS,
    show_default=True,
    metavar="DAYS",
    help="With --charts, the first days that define control.",
)
@click.option(
    "--run-length",
    type=click.FloatRange(10, 1e6),
    default=RUN_LENGTH,
    show_default=True,
    metavar="DAYS",
    help="With --charts, mean number of days between false alarms.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.option("--page", type=_FILE, metavar="FILE", help="Write a page with pictures, as HTML.")
@click.option("--prometheus", type=_FILE, metavar="FILE", help="Write metrics for node-exporter's textfile collector.")
def command(**given: Any) -> None:
    """Compare answers in RESULTS with a reference, and say what moved, since when, and how sure that is.

    RESULTS are files of edge-predict --output, also rotated and compressed ones. The reference is the model's, from
    validation patients, or the site's own. Answers written with --statistics show a change of the images earlier.

    "No drift shown" is not "no drift": the report says which shift so many cases would have shown.
    """
    request = DriftOptions(**given)
    _check(request)
    with stops_command():
        rule = request.rule()
        files = with_rotated(request.files) if request.rotated else request.files
        answers = read_answers(files, rule, request.span(), each_time=request.charts)
        if request.charts:
            status = _charts(request, answers)
        elif request.write_reference is not None:
            status = _write_reference(request.write_reference, answers, rule)
        else:
            status = _compare(request, answers, rule)
    sys.exit(status)


def _check(request: DriftOptions) -> None:
    for fault, message in (
        (request.cases and request.case_pattern, "--cases and --case-pattern contradict each other."),
        (request.model and request.reference, "--model and --reference contradict each other."),
        (
            request.charts and (request.write_reference or request.reference or request.cases or request.case_pattern),
            "--charts takes no reference and no cases. Remove these options.",
        ),
        (
            request.write_reference and (request.reference or request.page or request.prometheus or request.as_json),
            "--write-reference writes one file. Remove --reference, --page, --prometheus and --json.",
        ),
    ):
        if fault:
            raise click.UsageError(message)


def _compare(request: DriftOptions, answers: Answers, rule: CaseRule) -> int:
    reference = _reference(request, answers)
    notes = (rule.warning,) if rule.warning else ()
    report = drift_of(answers, reference, rule.text, notes, request.false_alarms)
    _give(request, report, drift_text(report), drift_page(report), drift_metrics(report))
    return {Finding.DRIFT: EXIT_DRIFT, Finding.NOT_SHOWN: 0, Finding.TOO_FEW: EXIT_TOO_FEW}[report.finding]


def _charts(request: DriftOptions, answers: Answers) -> int:
    report = charts_of(answers, request.baseline, request.run_length)
    _give(request, report, charts_text(report), charts_page(report), chart_metrics(report))
    return {Control.OUT_OF_CONTROL: EXIT_DRIFT, Control.IN_CONTROL: 0, Control.BASELINE: EXIT_TOO_FEW}[report.control]


def _give(request: DriftOptions, report: object, text: str, page: str, metrics: str) -> None:
    if request.page is not None:
        write_file(request.page, page.encode("utf-8"))
    if request.prometheus is not None:
        write_file(request.prometheus, metrics.encode("utf-8"))
    say(json.dumps(to_dict(report), allow_nan=False) if request.as_json else text)


def _reference(request: DriftOptions, answers: Answers) -> ReferenceDistribution:
    """Return the site's reference if one is named, else the one in the model's bundle."""
    if request.reference is not None:
        site = read_site_reference(request.reference)
        same_model(answers, site.origin, str(request.reference))
        if site.site != answers.site:
            raise DriftError(
                f"{request.reference}: found a reference for site {site.site}, expected {answers.site} as in the "
                "answers. Make a new one with --write-reference.",
                code="drift_other_model",
            )
        return site.reference
    name = request.model or answers.origin.model
    try:
        bundle = find(name, trusted_key=key_in_force())
    except BundleNotFoundError:
        raise DriftError(
            f"{name}: found no such model here, expected the one of the answers, for its reference. Name it with "
            "--model, or a reference with --reference.",
            code="drift_no_reference",
        ) from None
    spec = bundle.manifest.spec
    policy = spec.policy
    origin = Origin(spec.name, spec.version, spec.contract, policy.cutoff, policy.confidence_floor, bundle.digest)
    if answers.origin.bundle != bundle.digest:
        tell(f"{name}: its bundle.json is not the one of the answers; model, contract and thresholds are compared.")
    same_model(answers, origin, bundle.where)
    found = bundle.manifest.reference_distribution
    if found is None:
        raise DriftError(
            f"{bundle.where}: found no reference in bundle.json, expected one. Make the site's own from accepted "
            "answers: edge-predict drift RESULTS --write-reference FILE, then use --reference FILE.",
            code="drift_no_reference",
        )
    return found


def _write_reference(path: Path, answers: Answers, rule: CaseRule) -> int:
    found = answers.observations
    source = f"answers of this site from {found.times[0][:10]} to {found.times[-1][:10]}"
    reference = reference_of(found, source, "edge-predict at this site", "cases")
    site = SiteReference(SCHEMA, answers.origin, answers.site, found.times[0], found.times[-1], reference)
    write_site_reference(path, site)
    for note in (rule.warning, *answers.notes):
        if note:
            tell(note)
    say(f"{path}: reference of {reference.patients} cases, {reference.images} images")
    return 0
