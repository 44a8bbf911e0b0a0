"""Control charts of a phantom that a site scans each day: which number left control, and on which day.

Each number has an individuals chart and an EWMA chart. Points are standardised by all points in control before them
(Quesenberry 1991, J Qual Tech 23:213). Such points are independent and standard normal if the days are independent
and normal, although mean and variance are estimated from few days. Limits from a short baseline alone would give more
false alarms than stated.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from math import sqrt
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

from edge_runtime import __version__
from edge_runtime.assurance.drift.answers import Answers
from edge_runtime.assurance.drift.ewma import WEIGHT, limit_for
from edge_runtime.assurance.drift.observations import Observations
from edge_runtime.assurance.drift.student import t_quantile, two_sided
from edge_runtime.errors import DriftError
from edge_runtime.inference.prediction import now
from edge_runtime.results.lines import Origin

Floats = npt.NDArray[np.float64]
SCHEMA = "edge-predict-charts/1"
BASELINE_DAYS = 20
RUN_LENGTH = 365.0
"""Default of the mean number of days between false alarms of the whole report."""

_FEWEST_DAYS = 8
_FARTHEST = 38.0
"""Largest standardised value: beyond it, a probability is 0 in float64."""


class Control(enum.Enum):
    """The result of a chart."""

    IN_CONTROL = "in control"
    OUT_OF_CONTROL = "out of control"
    BASELINE = "baseline not complete"


class Rule(enum.Enum):
    """The rule that a day broke."""

    POINT = "point beyond its limits"
    EWMA = "EWMA beyond its limits"


@dataclass(frozen=True)
class Signal:
    """The first day that a chart is out of control, and the rule."""

    day: str
    rule: Rule


@dataclass(frozen=True)
class Chart:
    """One number.

    Attributes:
        quantity: name of the number.
        values: mean of the day's images; None on a day without an answer.
        baseline_mean, baseline_deviation: over the days of the baseline.
        lower, upper: limits of a point of this day, from the days before it; None during the baseline.
        standardised: standard normal value of each day in control; None during the first two days.
        ewma: of the standardised values after the baseline; None before.
        signal: the first day out of control; None if there is none. Points after it are drawn, not tested.
    """

    quantity: str
    values: tuple[float | None, ...]
    baseline_mean: float
    baseline_deviation: float
    lower: tuple[float | None, ...]
    upper: tuple[float | None, ...]
    standardised: tuple[float | None, ...]
    ewma: tuple[float | None, ...]
    signal: Signal | None


@dataclass(frozen=True)
class ChartReport:
    """All charts of one phantom.

    Attributes:
        schema: :data:`SCHEMA`.
        control: the result.
        date: UTC, RFC 3339.
        software: version of edge-predict.
        origin: model and thresholds.
        site: as in a drift report.
        days: the days with an answer, ``YYYY-MM-DD`` in UTC.
        images: number of images.
        baseline: number of days of the baseline.
        run_length: mean number of days between false alarms of the whole report.
        point_limit: limit of a standardised point, in standard deviations.
        ewma_limit: limit of the EWMA, in its standard deviations in the long run.
        weight: weight of the newest point in the EWMA.
        charts: one for each number, those with a signal first.
        notes: what the reader must know, a sentence each.
    """

    schema: str
    control: Control
    date: str
    software: str
    origin: Origin
    site: str
    days: tuple[str, ...]
    images: int
    baseline: int
    run_length: float
    point_limit: float
    ewma_limit: float
    weight: float
    charts: tuple[Chart, ...]
    notes: tuple[str, ...]

    @property
    def signals(self) -> list[Chart]:
        """The charts that are out of control."""
        return [chart for chart in self.charts if chart.signal is not None]


def charts_of(answers: Answers, baseline: int = BASELINE_DAYS, run_length: float = RUN_LENGTH) -> ChartReport:
    """Draw up the charts of a phantom's answers.

    Args:
        answers: the answers on the phantom, one or more images a day.
        baseline: number of first days that define control, 8 or more.
        run_length: wanted mean number of days between false alarms of all charts together.

    Raises:
        DriftError: ``drift_baseline``: the baseline is too short.
    """
    if baseline < _FEWEST_DAYS:
        raise DriftError(
            f"found a baseline of {baseline} days, expected {_FEWEST_DAYS} or more. Scan the phantom on more days.",
            code="drift_baseline",
        )
    found = answers.observations
    days = tuple(dict.fromkeys(time[:10] for time in found.times))
    columns = {name: _by_day(found, values, days) for name, values in (*found.values.items(), *_failures(found))}
    # each chart has two rules, so each rule of each chart may give a false alarm this rarely
    each = run_length * 2 * max(len(columns), 1)
    point_limit, ewma_limit = -NormalDist().inv_cdf(0.5 / each), limit_for(each)
    charts = [_chart(name, values, days, baseline, point_limit, ewma_limit) for name, values in columns.items()]
    out = any(chart.signal is not None for chart in charts)
    complete = len(days) > baseline
    return ChartReport(
        schema=SCHEMA,
        control=Control.OUT_OF_CONTROL if out else Control.IN_CONTROL if complete else Control.BASELINE,
        date=now(),
        software=f"edge-predict {__version__}",
        origin=answers.origin,
        site=answers.site,
        days=days,
        images=len(found),
        baseline=min(baseline, len(days)),
        run_length=run_length,
        point_limit=point_limit,
        ewma_limit=ewma_limit,
        weight=WEIGHT,
        charts=tuple(sorted(charts, key=lambda chart: chart.signal.day if chart.signal else "9")),
        notes=answers.notes,
    )


def _failures(found: Observations) -> list[tuple[str, Floats]]:
    """Return the share of failed images as a number, if any failed."""
    failed = found.events["failed"]
    return [("failed", failed)] if np.nansum(failed) else []


def _by_day(found: Observations, values: Floats, days: tuple[str, ...]) -> Floats:
    """Return the mean of each day, float64 (days,); NaN for a day without a value."""
    number = {day: index for index, day in enumerate(days)}
    codes = np.array([number[time[:10]] for time in found.times])
    there = ~np.isnan(values)
    counts = np.bincount(codes[there], minlength=len(days))
    sums = np.bincount(codes[there], weights=values[there], minlength=len(days))
    return np.asarray(np.divide(sums, counts, out=np.full(len(days), np.nan), where=counts > 0))


def standardised(values: Floats) -> Floats:
    """Return each value as a standard normal one, given all values before it; NaN for the first two.

    The statistic is Student's t of a new value against the values before (Quesenberry 1991, case of unknown mean and
    variance). If all values before are equal, an equal value gives 0, and any other one is as far out as can be.
    """
    result = np.full(len(values), np.nan)
    for index in range(2, len(values)):
        before = values[:index]
        deviation = max(float(before.std(ddof=1)), 1e-9 * max(1.0, abs(float(before.mean()))))
        t = (values[index] - before.mean()) / (deviation * sqrt(1.0 + 1.0 / index))
        tail = two_sided(float(t), index - 1.0) / 2.0
        size = -NormalDist().inv_cdf(tail) if tail > 0.0 else _FARTHEST
        result[index] = size if t > 0 else -size
    return result


def _chart(
    name: str, values: Floats, days: tuple[str, ...], baseline: int, point_limit: float, ewma_limit: float
) -> Chart:
    there = np.flatnonzero(~np.isnan(values))
    normal = np.full(len(values), np.nan)
    normal[there] = standardised(values[there])
    averages, average, signal = np.full(len(values), np.nan), 0.0, None
    edge = ewma_limit * sqrt(WEIGHT / (2.0 - WEIGHT))
    for index in there[there >= baseline]:
        average = averages[index] = WEIGHT * normal[index] + (1.0 - WEIGHT) * average
        if signal is None and abs(normal[index]) > point_limit:
            signal = Signal(days[index], Rule.POINT)
        if signal is None and abs(average) > edge:
            signal = Signal(days[index], Rule.EWMA)
    base = values[there[there < baseline]]
    lower, upper = _limits(values, there, baseline, point_limit)
    return Chart(
        name,
        _optional(values),
        float(base.mean()) if len(base) else 0.0,
        float(base.std(ddof=1)) if len(base) > 1 else 0.0,
        _optional(lower),
        _optional(upper),
        _optional(normal),
        _optional(averages),
        signal,
    )


def _limits(values: Floats, there: npt.NDArray[np.intp], baseline: int, point_limit: float) -> tuple[Floats, Floats]:
    """Return the values of each day at which its standardised point reaches the limit; NaN during the baseline."""
    lower, upper = np.full(len(values), np.nan), np.full(len(values), np.nan)
    for place, index in enumerate(there):
        if index >= baseline and place >= 2:
            before = values[there[:place]]
            reach = t_quantile(NormalDist().cdf(point_limit), place - 1.0) * sqrt(1.0 + 1.0 / place)
            middle, deviation = float(before.mean()), float(before.std(ddof=1))
            lower[index], upper[index] = middle - reach * deviation, middle + reach * deviation
    return lower, upper


def _optional(values: Floats) -> tuple[float | None, ...]:
    return tuple(None if np.isnan(value) else float(value) for value in values)
