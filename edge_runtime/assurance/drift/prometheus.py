"""A drift report in the text format of Prometheus, for the textfile collector of node-exporter."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from edge_runtime.assurance.drift.charts import ChartReport
from edge_runtime.assurance.drift.drift import DriftReport

_FORMAT = "%Y-%m-%dT%H:%M:%S.%f%z"


def drift_metrics(report: DriftReport) -> str:
    """Return the metrics of a drift report."""
    labels = {"model": report.origin.model, "version": report.origin.version}
    tests = [({**labels, "quantity": test.quantity, "test": test.kind.value}, test) for test in report.tests]
    return "".join(
        [
            *_states("edge_predict_drift_finding", "Result of the newest report.", labels, report.finding),
            *_metric("edge_predict_drift_cases", "Cases in the window.", [(labels, report.cases)]),
            *_metric("edge_predict_drift_images", "Images in the window.", [(labels, report.images)]),
            *_metric("edge_predict_drift_effect", "Effect.", [(known, test.effect) for known, test in tests]),
            *_metric("edge_predict_drift_p", "Corrected p value.", [(known, test.adjusted) for known, test in tests]),
            *_metric("edge_predict_drift_time_seconds", "Time of the report.", [(labels, _seconds(report.date))]),
        ]
    )


def chart_metrics(report: ChartReport) -> str:
    """Return the metrics of control charts."""
    labels = {"model": report.origin.model, "version": report.origin.version}
    out = [({**labels, "quantity": chart.quantity}, int(chart.signal is not None)) for chart in report.charts]
    return "".join(
        [
            *_states("edge_predict_charts_control", "Result of the newest charts.", labels, report.control),
            *_metric("edge_predict_charts_out_of_control", "1 if the number left control.", out),
            *_metric("edge_predict_charts_time_seconds", "Time of the report.", [(labels, _seconds(report.date))]),
        ]
    )


def _states(name: str, text: str, labels: dict[str, str], state: object) -> list[str]:
    """Return one line for each value of an enumeration: 1 for the one that holds, 0 for the others."""
    states = type(state)
    rows = [({**labels, "result": each.value}, int(each is state)) for each in states]  # type: ignore[attr-defined]
    return _metric(name, text, rows)


def _metric(name: str, text: str, rows: Iterable[tuple[dict[str, str], float]]) -> list[str]:
    lines = [f"# HELP {name} {text}\n", f"# TYPE {name} gauge\n"]
    for labels, value in rows:
        shown = ",".join(f'{key}="{_escaped(label)}"' for key, label in labels.items())
        lines.append(f"{name}{{{shown}}} {value!r}\n")
    return lines


def _escaped(label: str) -> str:
    return label.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _seconds(date: str) -> float:
    return datetime.strptime(date.replace("Z", "+0000"), _FORMAT).timestamp()
