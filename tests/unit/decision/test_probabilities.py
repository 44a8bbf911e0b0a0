"""Head probabilities: outputs are scores already, and what is no probability is an error."""

import math
from dataclasses import replace

import numpy as np
import pytest

from edge_runtime.bundle.policy import DecisionPolicy, Head
from edge_runtime.bundle.spec import ModelSpec
from edge_runtime.decision.rule import decisions, margins
from edge_runtime.decision.scores import BEYOND, positive_scores, scores_of
from edge_runtime.decision.verdict import Decision
from edge_runtime.errors import BackendError
from edge_runtime.images.colour import ColourOrder
from edge_runtime.preprocessing.steps import Colour, Interpolation, PixelType, Resize
from tests.unit.decision.plain_decision import ruled

SPEC = ModelSpec(
    name="test",
    version="1.0.0",
    summary="",
    steps=(Colour(ColourOrder.RGB), Resize(9, 9, Interpolation.AREA, PixelType.UINT8)),
    labels=("normal", "cyst", "tumour"),
    positive=("cyst", "tumour"),
    head=Head.PROBABILITIES,
    policy=DecisionPolicy(cutoff=0.4, confidence_floor=0.5),
)


def test_scores_are_the_outputs_and_the_positive_score_is_the_sum_of_the_positive_labels() -> None:
    outputs = [[0.5, 0.2, 0.3], [0.0, 1.0, 0.0]]
    np.testing.assert_array_equal(scores_of(outputs, SPEC), outputs)
    np.testing.assert_allclose(positive_scores(outputs, SPEC), [0.5, 1.0], rtol=1e-15)
    verdict = ruled(outputs[0], SPEC)
    assert (verdict.decision, verdict.label) == (Decision.POSITIVE, "tumour")
    assert (verdict.score, verdict.confidence) == (0.5, 0.5)


def test_independent_probabilities_add_up_to_one_at_most() -> None:
    assert positive_scores([[0.1, 0.9, 0.8]], SPEC).tolist() == [1.0]


def test_the_margin_is_the_distance_to_the_nearest_threshold() -> None:
    outputs = [[0.65, 0.15, 0.2], [0.45, 0.3, 0.25]]
    np.testing.assert_allclose(margins(outputs, SPEC), [0.05, 0.05], rtol=1e-12)
    assert decisions(outputs, SPEC) == [Decision.NEGATIVE, Decision.REFER]


def test_rounding_beyond_the_ends_is_clipped() -> None:
    assert scores_of([[-BEYOND / 2, 1 + BEYOND / 2, 0.0]], SPEC).tolist() == [[0.0, 1.0, 0.0]]


@pytest.mark.parametrize("wrong", [-0.02, 1.02, 7.5, math.nan, math.inf])
def test_an_output_that_is_no_probability_is_an_error_and_no_decision(wrong: float) -> None:
    with pytest.raises(BackendError, match=r"expected probabilities of 0\.\.1"):
        ruled([0.2, wrong, 0.3], SPEC)


def test_a_temperature_is_refused_since_it_divides_logits() -> None:
    with pytest.raises(ValueError, match=r"found temperature 2\.0, expected 1"):
        replace(SPEC, policy=replace(SPEC.policy, temperature=2.0))
