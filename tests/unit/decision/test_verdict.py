"""Edges of a verdict that no drawn logit meets: ties, limits that are met exactly, and networks of the wrong shape."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from edge_runtime.bundle.policy import DecisionPolicy, Head
from edge_runtime.bundle.spec import ModelSpec
from edge_runtime.decision.case import sure
from edge_runtime.decision.rule import DecisionRule
from edge_runtime.decision.scores import BEYOND, scores_of
from edge_runtime.decision.verdict import Decision, Reason
from edge_runtime.errors import BackendError
from edge_runtime.images.colour import ColourOrder
from edge_runtime.preprocessing.steps import Colour, Interpolation, PixelType, Resize
from tests.unit.decision.plain_decision import plain_verdict

STEPS = (Colour(ColourOrder.RGB), Resize(8, 8, Interpolation.LINEAR_EXACT, PixelType.UINT8))
LABELS = ("absent", "benign", "malignant")
BASE = ModelSpec("some-model", "1.0.0", "for tests", STEPS, LABELS, LABELS[1:], Head.SOFTMAX, DecisionPolicy(0.5, 0.0))
PAIR = replace(BASE, labels=LABELS[:2], positive=LABELS[1:2])


def test_an_unfamiliar_image_is_referred_under_its_strongest_label_of_all() -> None:
    """Two positive labels of 0.3 make it POSITIVE and benign; no side is decided when it is referred."""
    logits = np.log(np.array([0.4, 0.32, 0.28], np.float32))
    verdict = DecisionRule(BASE).verdict(logits)
    assert (verdict.decision, verdict.label) == (Decision.POSITIVE, "benign")
    referred = DecisionRule(BASE).verdict(logits, familiar=False)
    assert (referred.decision, referred.reason, referred.label) == (
        Decision.REFER,
        Reason.UNFAMILIAR_INPUT,
        "absent",
    )
    assert (referred.scores, referred.score, referred.confidence) == (
        verdict.scores,
        verdict.score,
        verdict.confidence,
    )


@pytest.mark.parametrize("head", [Head.SIGMOID, Head.INDEPENDENT_SIGMOIDS, Head.SOFTMAX, Head.PROBABILITIES])
@pytest.mark.parametrize("more", [1, -1])
def test_a_network_of_another_number_of_outputs_gives_no_verdict(head: Head, more: int) -> None:
    """Its logits must never be taken for those of other labels."""
    spec = replace(PAIR if head is Head.SIGMOID else BASE, head=head)
    logits = np.full(spec.outputs + more, 0.25, np.float32)
    with pytest.raises((ValueError, IndexError)):
        DecisionRule(spec).verdict(logits)
    with pytest.raises((ValueError, IndexError)):
        plain_verdict(logits, spec)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0, 4.0])
@pytest.mark.parametrize("head", [Head.SIGMOID, Head.INDEPENDENT_SIGMOIDS])
def test_the_temperature_divides_whatever_number_it_is(head: Head, temperature: float) -> None:
    spec = replace(PAIR, head=head, policy=DecisionPolicy(0.5, 0.0, temperature))
    found = DecisionRule(spec).verdict(np.array([-3.0, 3.0], np.float32)[-spec.outputs :])
    assert found.scores["benign"] == pytest.approx(1 / (1 + math.exp(-3.0 / temperature)), rel=1e-14)


def test_outputs_on_the_edge_of_what_a_probability_may_be_are_taken_and_clipped() -> None:
    spec = replace(PAIR, head=Head.PROBABILITIES)
    assert scores_of([[-BEYOND, 1 + BEYOND]], spec).tolist() == [[0.0, 1.0]]
    for beyond in ([math.nextafter(-BEYOND, -1), 1.0], [0.0, math.nextafter(1 + BEYOND, 2)]):
        with pytest.raises(BackendError) as caught:
            scores_of([beyond], spec)
        text = f"network outputs: found {min(beyond):.4g}..{max(beyond):.4g}, expected probabilities of 0..1. "
        assert str(caught.value) == text + "Export the model again with the head that fits its outputs."


def test_a_confidence_is_compared_as_float64() -> None:
    """0.9 in float32 is less than 0.9: it does not reach a rule's 0.9, whatever array it comes in."""
    single = np.array([0.9, 0.95], np.float32)
    answered, positive = sure([Decision.POSITIVE, Decision.POSITIVE], single, 0.9)
    assert (answered.tolist(), positive.tolist()) == ([False, True], [False, True])
