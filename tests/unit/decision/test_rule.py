"""The quick verdict on one image, and its distance to a threshold, are the usual ones bit for bit, for every head."""

from __future__ import annotations

import numpy as np
import pytest

from edge_runtime.bundle.policy import DecisionPolicy, Head
from edge_runtime.bundle.spec import ModelSpec
from edge_runtime.decision.rule import DecisionRule, decisions, margins, near_threshold
from edge_runtime.decision.verdict import Verdict
from edge_runtime.images.colour import ColourOrder
from edge_runtime.preprocessing.steps import Colour, Interpolation, PixelType, Resize
from tests.unit.decision.plain_decision import plain_verdict

STEPS = (Colour(ColourOrder.RGB), Resize(8, 8, Interpolation.LINEAR_EXACT, PixelType.UINT8))
LABELS = ("a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l")


def spec_of(head: Head, labels: int, positive: int, temperature: float, cutoff: float, floor: float) -> ModelSpec:
    names = LABELS[:labels]
    policy = DecisionPolicy(cutoff, floor, temperature)
    return ModelSpec("some-model", "1.0.0", "for tests", STEPS, names, names[labels - positive :], head, policy)


SPECS = [
    spec_of(Head.INDEPENDENT_SIGMOIDS, 2, 1, 1.0, 0.5, 0.8),
    spec_of(Head.INDEPENDENT_SIGMOIDS, 5, 2, 1.7, 0.3, 0.0),
    spec_of(Head.INDEPENDENT_SIGMOIDS, 12, 9, 0.6, 0.5, 0.6),
    spec_of(Head.SOFTMAX, 2, 1, 1.0, 0.5, 0.8),
    spec_of(Head.SOFTMAX, 12, 10, 2.3, 0.4, 0.5),
    spec_of(Head.SIGMOID, 2, 1, 1.0, 0.5, 0.7),
    spec_of(Head.SIGMOID, 2, 1, 0.9, 0.35, 0.0),
    spec_of(Head.PROBABILITIES, 3, 1, 1.0, 0.5, 0.6),
]


def random_logits(spec: ModelSpec, count: int = 800) -> np.ndarray:
    """Usual, tiny, huge and equal ones."""
    rng = np.random.default_rng(91)
    if spec.head is Head.PROBABILITIES:
        return rng.uniform(-0.005, 1.005, (count, spec.outputs)).astype(np.float32)
    scale = rng.choice([0.0, 1e-6, 0.1, 1.0, 4.0, 30.0, 800.0, 3e37], (count, 1))
    return (rng.normal(size=(count, spec.outputs)) * scale).astype(np.float32)


def bits(verdict: Verdict) -> tuple[object, ...]:
    """All of a verdict, floats as they are in memory: -0.0 is not 0.0."""
    numbers = (verdict.score, verdict.confidence, *verdict.scores.values())
    assert all(type(number) is float for number in numbers)
    shown = tuple(number.hex() for number in numbers)
    return verdict.label, tuple(verdict.scores), verdict.decision, verdict.reason, shown


@pytest.mark.parametrize("spec", SPECS, ids=lambda s: f"{s.head.value}-{len(s.labels)}-{s.policy.temperature}")
def test_the_verdict_is_that_of_decide_bit_for_bit(spec: ModelSpec) -> None:
    rule, seen = DecisionRule(spec), set()
    for row in random_logits(spec):
        for rerun, familiar in ((False, True), (True, True), (False, False)):
            flags = {"rerun": rerun, "familiar": familiar}
            found, expected = rule.verdict(row, **flags), plain_verdict(row, spec, **flags)
            assert bits(found) == bits(expected), row
            seen.add(expected.decision)
    assert len(seen) == 3 or spec.policy.confidence_floor == 0.0


@pytest.mark.parametrize("spec", SPECS, ids=lambda s: f"{s.head.value}-{len(s.labels)}-{s.policy.temperature}")
def test_a_verdict_is_near_a_threshold_from_the_margin_of_its_logits_on(spec: ModelSpec) -> None:
    rule = DecisionRule(spec)
    for row in random_logits(spec):
        margin, verdict = float(margins(row[np.newaxis], spec)[0]), rule.verdict(row)
        assert rule.near_threshold(verdict, margin) is (margin > 0), row
        assert not rule.near_threshold(verdict, np.nextafter(margin, 0.0)), row


@pytest.mark.parametrize("spec", SPECS, ids=lambda s: f"{s.head.value}-{len(s.labels)}-{s.policy.temperature}")
def test_many_images_are_decided_as_each_alone(spec: ModelSpec) -> None:
    logits, rule = random_logits(spec), DecisionRule(spec)
    verdicts = [rule.verdict(row) for row in logits]
    assert decisions(logits, spec) == [verdict.decision for verdict in verdicts]
    for band in (0.0, 0.05, float(margins(logits, spec)[7])):
        near = [rule.near_threshold(verdict, band) for verdict in verdicts]
        assert near_threshold(logits, spec, band).tolist() == near
        assert any(near) is (band > 0)
