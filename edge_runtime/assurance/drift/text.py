"""Drift reports and control charts as text for people."""

from __future__ import annotations

from edge_runtime.assurance.drift.charts import ChartReport
from edge_runtime.assurance.drift.drift import DriftReport, Finding, Moved

_SHOWN = 12
"""Most tests of a report that are printed; the JSON has all."""


def drift_text(report: DriftReport) -> str:
    """Return a drift report as text."""
    drifted = report.drifted
    lines = [
        f"model        {report.origin.model} {report.origin.version}, site {report.site}",
        f"window       {report.first[:19]} to {report.last[:19]}, {report.cases} cases, {report.images} images",
        f"reference    {report.reference}",
        *(f"note         {note}" for note in report.notes),
    ]
    if drifted:
        lines.append(f"{'quantity':20} {'test':7} {'window':>9} {'reference':>9}  {'effect [95 %]':22} {'p':>8}  since")
        lines += [_moved(test) for test in drifted[:_SHOWN]]
        lines += [f"and {len(drifted) - _SHOWN} more"] if len(drifted) > _SHOWN else []
    lines.append(f"power        {_power(report)}")
    lines.append(f"result       {_result(report)}")
    return "\n".join(lines)


def _moved(test: Moved) -> str:
    effect = f"{test.effect:.3f} [{test.low:.3f}, {test.high:.3f}]"
    since = ""
    if test.since is not None:
        earlier = " or earlier" if test.since.before else ""
        since = f"{test.since.time[:10]} [{test.since.earliest[:10]}, {test.since.latest[:10]}]{earlier}"
    name = f"{test.quantity:20} {test.kind.value:7} {test.window:9.4g} {test.reference:9.4g}"
    return f"{name}  {effect:22} {test.adjusted:8.2g}  {since}"


def _power(report: DriftReport) -> str:
    needs = ", ".join(
        f"{need.effect:.2f}: {'no number' if need.cases is None else need.cases}" for need in report.needed
    )
    smallest = (
        "" if report.smallest_shift is None else f"{report.cases} cases show a shift of {report.smallest_shift:.2f}; "
    )
    return f"{smallest}cases that show a shift of {needs}"


def _result(report: DriftReport) -> str:
    alarms = f"false alarms in at most {report.false_alarms:.0%} of reports"
    if report.finding is Finding.DRIFT:
        return f"DRIFT in {len(report.drifted)} of {len(report.tests)} tests; {alarms}"
    if report.finding is Finding.NOT_SHOWN:
        return f"no drift shown in {len(report.tests)} tests"
    return "TOO FEW CASES: a drift of one standard deviation might not have been found"


def charts_text(report: ChartReport) -> str:
    """Return control charts as text."""
    lines = [
        f"model        {report.origin.model} {report.origin.version}, site {report.site}",
        f"days         {report.days[0]} to {report.days[-1]}, {len(report.days)} days, {report.images} images; "
        f"baseline {report.baseline} days",
        *(f"note         {note}" for note in report.notes),
    ]
    lines += [
        f"{chart.quantity:20} {chart.signal.day}  {chart.signal.rule.value}"
        for chart in report.signals
        if chart.signal is not None
    ]
    lines.append(f"false alarms one in {report.run_length:g} days on average, over {len(report.charts)} charts")
    return "\n".join([*lines, f"result       {report.control.value}"])
