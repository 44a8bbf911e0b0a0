"""SVG pictures of drift: effects with their intervals, cumulative sums, and control charts."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from edge_runtime.assurance.drift.change_point import ChangePoint
from edge_runtime.assurance.drift.charts import Chart, ChartReport
from edge_runtime.assurance.drift.comparison import Kind
from edge_runtime.assurance.drift.drift import Moved

_WIDTH, _LEFT, _RIGHT, _ROW = 640, 190, 20, 22
_HEIGHT, _TOP, _BOTTOM = 180, 14, 24


def effects(tests: Sequence[Moved]) -> str:
    """Draw the effect of each shift and spread with its 95 % interval on a line from 0 to 1; 0.5 is no difference."""
    rows = [test for test in tests if test.kind is not Kind.RATE]
    height = _ROW * len(rows) + 30

    def x(value: float) -> float:
        return round(_LEFT + (_WIDTH - _LEFT - _RIGHT) * value, 1)

    parts = [
        f'<line x1="{x(0.5)}" x2="{x(0.5)}" y1="4" y2="{height - 20}" stroke="var(--line)"/>',
        *(
            f'<text x="{x(tick)}" y="{height - 4}" text-anchor="middle">{tick:g}</text>'
            for tick in (0.0, 0.25, 0.5, 0.75, 1.0)
        ),
    ]
    for index, test in enumerate(rows):
        y, ink = _ROW * index + 14, "var(--bad)" if test.drifted else "var(--ink)"
        name = escape(f"{test.quantity}, {test.kind.value}")
        parts += [
            f'<text x="{_LEFT - 10}" y="{y + 4}" text-anchor="end">{name}</text>',
            f'<line x1="{x(test.low)}" x2="{x(test.high)}" y1="{y}" y2="{y}" stroke="{ink}" stroke-width="3"/>',
            f'<circle cx="{x(test.effect)}" cy="{y}" r="4" fill="{ink}"/>',
        ]
    return _svg(height, "Effects with 95 % intervals; 0.5 is no difference", parts)


def path_of(test: Moved, since: ChangePoint, cases: int) -> str:
    """Draw the cumulative sum of differences from the reference by case, with the change point and its interval."""
    low, high = min(*since.path, 0.0), max(*since.path, 0.0)

    def x(case: float) -> float:
        return round(40 + (_WIDTH - 60) * case / max(cases, 1), 1)

    def y(value: float) -> float:
        return round(_TOP + (_HEIGHT - _TOP - _BOTTOM) * (high - value) / max(high - low, 1e-12), 1)

    step = cases / max(len(since.path) - 1, 1)
    points = " ".join(f"{x(index * step)},{y(value)}" for index, value in enumerate(since.path))
    first, last = x(since.first_case), x(since.last_case + 1)
    label = f"{test.quantity}, {test.kind.value}: cumulative sum by case"
    return _figure(
        label,
        [
            f'<rect x="{first}" width="{round(last - first, 1)}" y="{_TOP}" height="{_HEIGHT - _TOP - _BOTTOM}" '
            'fill="var(--open)" opacity="0.25"/>',
            f'<line x1="40" x2="{_WIDTH - 20}" y1="{y(0)}" y2="{y(0)}" stroke="var(--line)"/>',
            f'<polyline points="{points}" fill="none" stroke="var(--ink)" stroke-width="2"/>',
            f'<line x1="{x(since.case)}" x2="{x(since.case)}" y1="{_TOP}" y2="{_HEIGHT - _BOTTOM}" '
            'stroke="var(--bad)" stroke-dasharray="4 3"/>',
            f'<text x="{x(since.case)}" y="{_HEIGHT - 8}" text-anchor="middle">{escape(since.time[:10])}</text>',
        ],
    )


def chart_of(chart: Chart, report: ChartReport) -> str:
    """Draw the values of each day with the limits of a point, and the first day out of control."""
    known, lower, upper = (_known(values) for values in (chart.values, chart.lower, chart.upper))
    values = [value for _, value in (*known, *lower, *upper)]
    low, high = min(values), max(values)
    if low == high:
        low, high = low - 0.5, high + 0.5

    def x(day: float) -> float:
        return round(70 + (_WIDTH - 90) * day / max(len(report.days) - 1, 1), 1)

    def y(value: float) -> float:
        return round(_TOP + (_HEIGHT - _TOP - _BOTTOM) * (high - value) / max(high - low, 1e-12), 1)

    def line(points: Sequence[tuple[int, float]], style: str) -> str:
        shown = " ".join(f"{x(day)},{y(value)}" for day, value in points)
        return f'<polyline points="{shown}" fill="none" {style}/>'

    parts = [
        *(
            f'<text x="64" y="{y(value) + 4}" text-anchor="end">{value:.4g}</text>'
            for value in dict.fromkeys((min(values), max(values)))
        ),
        *(line(points, 'stroke="var(--bad)" stroke-dasharray="3 3"') for points in (lower, upper)),
        f'<line x1="{x(report.baseline - 0.5)}" x2="{x(report.baseline - 0.5)}" y1="{_TOP}" y2="{_HEIGHT - _BOTTOM}" '
        'stroke="var(--line)"/>',
        line(known, 'stroke="var(--ink)" stroke-width="1.5"'),
        f'<text x="70" y="{_HEIGHT - 6}">{escape(report.days[0])}</text>',
        f'<text x="{_WIDTH - 20}" y="{_HEIGHT - 6}" text-anchor="end">{escape(report.days[-1])}</text>',
    ]
    label = chart.quantity
    if chart.signal is not None:
        day = report.days.index(chart.signal.day)
        value = chart.values[day]
        label += f": {chart.signal.day}, {chart.signal.rule.value}"
        if value is not None:
            parts.append(
                f'<circle cx="{x(day)}" cy="{y(value)}" r="5" fill="none" stroke="var(--bad)" stroke-width="2"/>'
            )
    return _figure(label, parts)


def _known(values: Sequence[float | None]) -> list[tuple[int, float]]:
    """Return the days that have a value, each with it."""
    return [(day, value) for day, value in enumerate(values) if value is not None]


def _figure(label: str, parts: Sequence[str]) -> str:
    return f"<figure><figcaption>{escape(label)}</figcaption>{_svg(_HEIGHT, label, parts)}</figure>"


def _svg(height: int, label: str, parts: Sequence[str]) -> str:
    return (
        f'<svg viewBox="0 0 {_WIDTH} {height}" style="height:auto" role="img" aria-label="{escape(label)}">'
        f"{''.join(parts)}</svg>"
    )
