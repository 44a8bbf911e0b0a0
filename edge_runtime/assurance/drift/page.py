"""The pages of a drift report and of control charts: one HTML file each, with pictures."""

from __future__ import annotations

from html import escape

from edge_runtime.assurance.drift.charts import Chart, ChartReport, Control
from edge_runtime.assurance.drift.drift import DriftReport, Finding, Moved
from edge_runtime.assurance.drift.pictures import chart_of, effects, path_of
from edge_runtime.assurance.html import document, table
from edge_runtime.inference.prediction import NOTICE

_VERDICTS = {
    Finding.DRIFT: ("below", "Drift found."),
    Finding.NOT_SHOWN: ("shown", "No drift shown. A shift of one standard deviation would have been found."),
    Finding.TOO_FEW: ("open", "Too few cases: a drift might not have been found."),
}
_CONTROLS = {
    Control.OUT_OF_CONTROL: ("below", "Out of control."),
    Control.IN_CONTROL: ("shown", "In control."),
    Control.BASELINE: ("open", "The baseline is not complete: nothing is tested yet."),
}
_DRAWN = 12
"""Most pictures of one kind on a page."""


def drift_page(report: DriftReport) -> str:
    """Return the page of a drift report; every text from outside is escaped."""
    origin, drifted = report.origin, report.drifted
    kind, verdict = _VERDICTS[report.finding]
    since = [(test, test.since) for test in drifted if test.since is not None][:_DRAWN]
    return document(
        f"Drift of {origin.model} {origin.version}",
        [
            f'<p class="verdict {kind}">{verdict}</p>',
            *(f'<p class="open">{escape(note)}</p>' for note in report.notes),
            "<h2>What moved</h2>" if drifted else "",
            *([table(_HEAD, map(_row, drifted))] if drifted else []),
            "<h2>Since when</h2>" if since else "",
            *(path_of(test, point, report.cases) for test, point in since),
            "<h2>Numbers beside the reference</h2>",
            "<p>Probability that an image of the window lies above (shift) or further out than (spread) one of the "
            "reference.</p>",
            effects(report.tests),
            "<h2>How many cases show which shift</h2>",
            table(
                ("probability that an image lies above the reference", "cases"),
                ((f"{need.effect:.2f}", "no number" if need.cases is None else need.cases) for need in report.needed),
            ),
            "<h2>All tests</h2>",
            table(_HEAD, map(_row, report.tests)),
            "<h2>Window</h2>",
            _window(report),
            f"<p>{escape(NOTICE)}</p>",
        ],
    )


_HEAD = ("quantity", "test", "window", "reference", "effect [95 %]", "p, corrected", "since")


def _row(test: Moved) -> tuple[str, ...]:
    since = (
        "" if test.since is None else f"{test.since.time[:10]} [{test.since.earliest[:10]}, {test.since.latest[:10]}]"
    )
    return (
        escape(test.quantity),
        test.kind.value,
        f"{test.window:.4g}",
        f"{test.reference:.4g}",
        f"{test.effect:.3f} [{test.low:.3f}, {test.high:.3f}]",
        f'<span class="{"below" if test.drifted else ""}">{test.adjusted:.2g}</span>',
        since,
    )


def _window(report: DriftReport) -> str:
    rows = (
        ("cases, images", f"{report.cases}, {report.images}"),
        ("from, to", f"{escape(report.first)}, {escape(report.last)}"),
        ("case", escape(report.case_rule)),
        ("reference", escape(report.reference)),
        ("false alarms", f"at most {report.false_alarms:.0%} of reports without a drift"),
        ("contract", f"<code>{report.origin.contract}</code>"),
        ("bundle, SHA-256", f"<code>{report.origin.bundle}</code>"),
        ("cut-off, confidence floor", f"{report.origin.cutoff:g}, {report.origin.confidence_floor:g}"),
        ("site", escape(report.site)),
        ("software", escape(report.software)),
        ("date", escape(report.date)),
    )
    return table((), rows)


def charts_page(report: ChartReport) -> str:
    """Return the page of control charts; every text from outside is escaped."""
    kind, verdict = _CONTROLS[report.control]
    signals, quiet = report.signals, [chart for chart in report.charts if chart.signal is None]
    return document(
        f"Control charts of {report.origin.model} {report.origin.version}",
        [
            f'<p class="verdict {kind}">{verdict}</p>',
            *(f'<p class="open">{escape(note)}</p>' for note in report.notes),
            *(["<h2>Out of control</h2>", table(_CHART_HEAD, map(_chart_row, signals))] if signals else []),
            *(chart_of(chart, report) for chart in signals[:_DRAWN]),
            *(["<h2>In control</h2>"] if quiet else []),
            *(chart_of(chart, report) for chart in quiet[:_DRAWN]),
            "<h2>Rules</h2>",
            f"<p>The baseline is the first {report.baseline} of {len(report.days)} days. A standardised point may be "
            f"{report.point_limit:.2f} standard deviations from 0, and the EWMA (weight {report.weight:g}) "
            f"{report.ewma_limit:.2f} of its own. Without a change, a report has a false alarm once in "
            f"{report.run_length:g} days on average.</p>",
            f"<p>{escape(NOTICE)}</p>",
        ],
    )


_CHART_HEAD = ("quantity", "first day", "rule", "baseline mean", "baseline deviation")


def _chart_row(chart: Chart) -> tuple[str, ...]:
    signal = chart.signal
    when = ("", "") if signal is None else (signal.day, signal.rule.value)
    return escape(chart.quantity), *when, f"{chart.baseline_mean:.4g}", f"{chart.baseline_deviation:.3g}"
