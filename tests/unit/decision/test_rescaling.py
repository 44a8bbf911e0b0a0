"""Thresholds and guard bands that are carried over to another temperature, against the scores of drawn logits."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from edge_runtime.bundle.policy import DecisionPolicy, Head
from edge_runtime.decision.rescaling import carried_band, carried_threshold
from edge_runtime.decision.scores import positive_scores, scores_of
from tests.unit.decision.test_verdict import BASE, PAIR

GENERATOR = np.random.default_rng(7)


@pytest.mark.parametrize("head", [Head.SIGMOID, Head.SOFTMAX, Head.INDEPENDENT_SIGMOIDS])
@pytest.mark.parametrize("after", [0.3, 1.0, 4.0])
def test_the_same_images_reach_a_threshold_that_was_carried_over(head: Head, after: float) -> None:
    spec = replace(PAIR, head=head, policy=DecisionPolicy(0.5, 0.0, 1.7))
    other = replace(spec, policy=replace(spec.policy, temperature=after))
    logits = GENERATOR.normal(0.0, 4.0, (2000, spec.outputs))
    for threshold in (0.55, 0.88, 0.99):
        before = scores_of(logits, spec).max(axis=1) >= threshold
        found = scores_of(logits, other).max(axis=1) >= carried_threshold(threshold, 1.7, after)
        assert 0 < before.sum() < len(before)
        assert (before == found).all()


def test_ends_and_an_unchanged_temperature_stay() -> None:
    assert [carried_threshold(x, 1.0, 3.0) for x in (0.0, 1.0)] == [0.0, 1.0]
    assert carried_threshold(0.123456789, 1.5, 1.5) == 0.123456789


@pytest.mark.parametrize(
    "after", [DecisionPolicy(0.5, 0.0, 0.4), DecisionPolicy(0.05, 0.9, 1.0), DecisionPolicy(0.9, 0)]
)
def test_a_band_covers_the_errors_of_logits_that_it_covered_before(after: DecisionPolicy) -> None:
    """Every decision that an error of int8 flips lies inside the new band, if errors reach as far as the old one."""
    before, band = DecisionPolicy(0.137, 0.0, 1.6), 0.02
    spec = replace(PAIR, head=Head.SIGMOID, policy=before)
    largest = 1.6 * (np.log(0.157 / 0.843) - np.log(0.137 / 0.863))  # what the band covers above the cut-off
    wide = carried_band(band, Head.SIGMOID, before, after)
    assert band <= wide < 0.5
    new = replace(spec, policy=after)
    logits = GENERATOR.normal(0.0, 3.0, (20000, 1))
    moved = logits + GENERATOR.uniform(-largest, largest, logits.shape)
    score, other = positive_scores(logits, new), positive_scores(moved, new)
    flipped = (score >= after.cutoff) != (other >= after.cutoff)
    assert flipped.sum() > 20
    assert (np.abs(other - after.cutoff)[flipped] <= wide).all()
    if after.temperature < 1:  # the bundle's own band would have missed some of them
        assert (np.abs(other - after.cutoff)[flipped] > band).any()


def test_a_band_is_never_narrower_and_none_stays_none() -> None:
    before, after = DecisionPolicy(0.5, 0.0, 1.0), DecisionPolicy(0.001, 0.0, 5.0)
    assert carried_band(0.03, Head.SOFTMAX, before, after) >= 0.03
    assert carried_band(0.0, Head.SOFTMAX, before, after) == 0.0
    assert carried_band(0.03, Head.PROBABILITIES, before, after) == 0.03
    assert carried_band(0.03, BASE.head, before, before) == 0.03
    assert carried_band(0.9, Head.SOFTMAX, DecisionPolicy(0.5, 0.0), after) <= 1.0
