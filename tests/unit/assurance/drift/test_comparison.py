"""Positions, correlation, tests by case, and their false alarms and power on made-up patients."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from edge_runtime.assurance.drift.comparison import Comparison, Kind, compare, deflated
from edge_runtime.assurance.drift.observations import Observation, Observations
from edge_runtime.assurance.drift.positions import correlation, design_effect, positions, quantiles
from edge_runtime.assurance.drift.power import Design
from edge_runtime.assurance.drift.reference import reference_of
from edge_runtime.bundle.reference_distribution import ReferenceDistribution
from edge_runtime.errors import DriftError
from tests.unit.assurance.drift.made import observations, time


def reference(found: Observations) -> ReferenceDistribution:
    return reference_of(found, "made up", "nothing", "patients")


def shift(window: Observations, of: Observations, kind: Kind = Kind.SHIFT) -> Comparison:
    (found,) = (test for test in compare(window, reference(of)) if test.kind is kind)
    return found


def test_a_position_is_the_share_below_and_half_of_the_equal_ones() -> None:
    values = np.sort(np.random.default_rng(0).normal(size=4001))
    grid = quantiles(values, np.arange(4001), 21)
    wanted = (stats.rankdata(values) - 0.5) / 4001
    assert (
        np.abs(positions(values, grid.tolist()) - wanted).max() < 0.03
    )  # 21 quantiles, with linear interpolation between them
    ties = np.repeat([1.0, 2.0], 500)
    grid = quantiles(ties, np.arange(1000), 21)
    assert positions(np.array([0.0, 1.0, 2.0, 3.0]), grid.tolist()) == pytest.approx([0.0, 0.25, 0.75, 1.0], abs=0.03)
    assert positions(np.array([5.0, 4.0, 6.0]), [5.0] * 21).tolist() == [0.5, 0.0, 1.0]


def test_each_patient_has_the_same_weight_in_the_quantiles() -> None:
    values, case = np.array([0.0] * 90 + [1.0] * 10), np.array([0] * 90 + list(range(1, 11)))
    assert quantiles(values, case, 3)[1] == 1.0  # 10 of 11 patients have 1


def test_the_correlation_is_that_of_the_model_it_was_drawn_from() -> None:
    found = observations(3000, 4, seed=1)
    assert correlation(found.values["score"], found.case) == pytest.approx(0.5, abs=0.03)
    assert design_effect(found.case, 0.5) == pytest.approx(2.5)
    assert correlation(np.arange(5.0), np.arange(5)) is None


def test_the_effect_is_the_probability_of_lying_above_the_reference() -> None:
    of, window = observations(400, 1, seed=2), observations(400, 1, seed=3, move=1.0)
    found = shift(window, of)
    wanted = stats.mannwhitneyu(window.values["score"], of.values["score"]).statistic / 400**2
    assert found.effect == pytest.approx(wanted, abs=0.01)
    low, high = found.bounds()
    assert low < stats.norm.cdf(0.5) < high  # of two normals with variance 2


def test_with_one_image_a_case_the_p_value_is_near_that_of_the_rank_test() -> None:
    for seed in range(20):
        of, window = observations(120, 1, seed=seed), observations(120, 1, seed=seed + 100, move=0.3)
        wanted = stats.mannwhitneyu(window.values["score"], of.values["score"]).pvalue
        assert shift(window, of).p == pytest.approx(float(wanted), abs=0.05)


@pytest.mark.parametrize("of_images, images", [(1, 1), (6, 6), (6, 1), (1, 6)])
def test_false_alarms_are_as_rare_as_stated_whatever_the_number_of_images(of_images: int, images: int) -> None:
    repeats, alarms = 150, 0
    for seed in range(repeats):
        of, window = observations(40, of_images, seed=seed), observations(15, images, seed=10_000 + seed)
        alarms += shift(window, of).p <= 0.05
    assert alarms <= stats.binom.ppf(0.999, repeats, 0.05)


def test_images_of_one_patient_are_not_counted_as_independent() -> None:
    """A test of images would give far more false alarms here, so this test can fail."""
    alarms = naive = 0
    for seed in range(100):
        of, window = observations(40, 20, seed=seed), observations(15, 20, seed=10_000 + seed)
        alarms += shift(window, of).p <= 0.05
        naive += stats.mannwhitneyu(of.values["score"], window.values["score"]).pvalue <= 0.05
    assert alarms <= stats.binom.ppf(0.999, 100, 0.05) < naive / 3


def test_a_wider_spread_around_the_same_middle_is_found() -> None:
    of = observations(100, 1, seed=5)
    window = observations(100, 1, seed=6)
    window.values["score"] *= 3.0
    assert shift(window, of).p > 0.01
    assert shift(window, of, Kind.SPREAD).p < 1e-6


def test_the_power_is_the_computed_one() -> None:
    design = Design(variance=1 / 12, patients=60, tests=1, false_alarms=0.05)
    cases = design.needed(0.7).cases
    assert cases is not None
    move = float(stats.norm.ppf(0.7)) * 2.0  # of normals with variance 2, the difference has variance 4
    found = [shift(observations(cases, 1, 900 + s, move), observations(60, 1, 100 + s)).p <= 0.05 for s in range(80)]
    assert 0.68 <= np.mean(found) <= 0.95
    assert design.needed(0.51).cases is None  # 60 patients never show so little
    assert design.smallest_shift(cases) <= 0.7 < design.smallest_shift(cases - 1)


def rated(cases: int, images: int, share: float, seed: int) -> Observations:
    random = np.random.default_rng(seed)
    rows = [
        Observation(f"{case}", time(case), {}, {"failed": bool(random.uniform() < share)})
        for case in range(cases)
        for _ in range(images)
    ]
    return Observations.of(rows)


def test_a_rate_of_single_images_is_fishers_exact_test() -> None:
    of, window = rated(100, 1, 0.1, seed=0), rated(60, 1, 0.5, seed=1)
    (found,) = compare(window, reference(of))
    counts = [int(side.events["failed"].sum()) for side in (window, of)]
    assert found.p == pytest.approx(stats.fisher_exact([[counts[0], 60 - counts[0]], [counts[1], 100 - counts[1]]])[1])
    assert found.effect == pytest.approx(counts[0] / 60 - counts[1] / 100)
    low, high = found.bounds()
    assert low < found.effect < high


def test_a_rate_that_never_happened_on_both_sides_is_no_test() -> None:
    assert compare(rated(50, 1, 0.0, 0), reference(rated(50, 1, 0.0, 1))) == []


def test_counts_of_whole_cases_are_divided_by_the_design_effect() -> None:
    assert deflated(30, 100, 5.0) == (6, 20)
    assert deflated(0, 3, 9.0) == (0, 1)


def test_a_reference_needs_ten_patients() -> None:
    with pytest.raises(DriftError, match="found answers on 9 patients, expected 10 or more"):
        reference(observations(9, 5, seed=0))
