"""Since when: the estimate, and how often its interval holds the truth."""

from __future__ import annotations

import numpy as np

from edge_runtime.assurance.drift.change_point import POINTS, change_point, first_changed
from tests.unit.assurance.drift.made import time


def starts(count: int) -> tuple[str, ...]:
    return tuple(time(1440 * case) for case in range(count))


def test_a_clear_step_is_found_at_its_case() -> None:
    series = np.array([0.5] * 30 + [0.9] * 20)
    found = change_point(series, 0.5, starts(50))
    assert (found.case, found.first_case, found.last_case) == (30, 30, 30)
    assert found.time == starts(50)[30]
    assert not found.before
    assert found.path[0] == 0.0 and len(found.path) == 51


def test_a_window_that_differs_as_a_whole_says_that_the_change_may_be_earlier() -> None:
    found = change_point(np.random.default_rng(0).normal(0.9, 0.1, 40), 0.5, starts(40))
    assert (found.case, found.before) == (0, True)


def test_cases_without_a_value_keep_their_place() -> None:
    series = np.array([np.nan, *[0.5] * 10, np.nan, *[0.9] * 10])
    assert change_point(series, 0.5, starts(22)).case == 12


def test_the_interval_holds_the_true_change_in_most_series() -> None:
    random, held, early = np.random.default_rng(1), 0, []
    for _ in range(40):
        series = np.concatenate([random.normal(0.5, 0.25, 40), random.normal(0.75, 0.2, 30)])
        found = change_point(series, 0.5, starts(70))
        held += found.first_case <= 40 <= found.last_case
        early.append(found.case - 40)
    assert held >= 33
    assert abs(np.median(early)) <= 1


def test_the_estimate_is_the_largest_gain_of_all_steps() -> None:
    series = np.random.default_rng(2).normal(size=60)
    gains = [(60 - k) * series[k:].mean() ** 2 for k in range(58)]
    assert first_changed(series, 0.0) == int(np.argmax(gains))


def test_a_long_path_is_thinned() -> None:
    assert len(change_point(np.r_[np.zeros(500), np.ones(500)], 0.0, starts(1000)).path) == POINTS
