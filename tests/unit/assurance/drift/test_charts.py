"""Control charts: standard normal points, false alarms as stated, and the day of a change."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from edge_runtime.assurance.drift.answers import Answers
from edge_runtime.assurance.drift.charts import Control, Rule, charts_of, standardised
from edge_runtime.assurance.drift.observations import Observation, Observations
from edge_runtime.assurance.drift.page import charts_page
from edge_runtime.assurance.drift.text import charts_text
from edge_runtime.errors import DriftError
from edge_runtime.results.lines import Origin
from tests.unit.assurance.drift.made import ORIGIN, time


def answers(*columns: np.ndarray) -> Answers:
    names = ("score", "grain")
    rows = [
        Observation("p", time(1440 * day), dict(zip(names, map(float, values), strict=False)), {"failed": False})
        for day, values in enumerate(zip(*columns, strict=True))
    ]
    return Answers(Origin(**ORIGIN), "uncalibrated", Observations.of(rows), ())  # type: ignore[arg-type]


def test_points_in_control_are_standard_normal_and_independent() -> None:
    random = np.random.default_rng(0)
    points = np.concatenate([standardised(random.normal(7.0, 3.0, 60))[2:] for _ in range(60)])
    assert stats.kstest(points, "norm").pvalue > 0.01
    assert abs(np.corrcoef(points[1:], points[:-1])[0, 1]) < 0.05


def test_equal_days_stay_in_control_and_any_other_day_does_not() -> None:
    same = np.full(40, 0.25)
    assert charts_of(answers(same)).control is Control.IN_CONTROL
    other = same.copy()
    other[33] = 0.251
    report = charts_of(answers(other))
    assert report.signals[0].signal is not None
    assert (report.signals[0].signal.day, report.signals[0].signal.rule) == ("2026-04-03", Rule.POINT)


def test_a_slow_change_is_found_by_the_ewma_and_the_quantity_is_named() -> None:
    random = np.random.default_rng(2)
    grain = random.normal(0.0, 1.0, 70)
    grain[40:] += 1.8
    report = charts_of(answers(random.normal(size=70), grain))
    (chart,) = report.signals
    assert chart.quantity == "grain" and chart.signal is not None
    assert "2026-04-10" <= chart.signal.day <= "2026-04-25"
    text, page = charts_text(report), charts_page(report)
    assert chart.signal.day in text and "out of control" in text
    assert "<svg" in page and "grain" in page and "<script" not in page and "http" not in page


def test_false_alarms_come_as_rarely_as_stated() -> None:
    alarms, days, runs = 0, 60, 80
    for seed in range(runs):
        random = np.random.default_rng(seed)
        report = charts_of(answers(random.normal(size=20 + days), random.normal(size=20 + days)), run_length=300.0)
        alarms += bool(report.signals)
    expected = 1 - np.exp(-days / 300.0)
    assert alarms <= stats.binom.ppf(0.999, runs, expected)


def test_a_point_is_beyond_its_limits_where_its_standardised_value_is() -> None:
    report = charts_of(answers(np.random.default_rng(4).standard_t(2, 120)), run_length=10.0)
    (chart,) = report.charts
    beyond = 0
    for day in range(20, 120):
        value, lower, upper, point = (
            side[day] for side in (chart.values, chart.lower, chart.upper, chart.standardised)
        )
        assert value is not None and lower is not None and upper is not None and point is not None
        assert (not lower <= value <= upper) == (abs(point) > report.point_limit)
        beyond += not lower <= value <= upper
    assert 0 < beyond < 50


def test_a_short_baseline_is_no_answer() -> None:
    assert charts_of(answers(np.arange(15.0))).control is Control.BASELINE
    with pytest.raises(DriftError, match="found a baseline of 5 days, expected 8 or more"):
        charts_of(answers(np.arange(15.0)), baseline=5)
