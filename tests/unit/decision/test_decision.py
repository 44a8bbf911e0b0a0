"""Logits to decisions: the formulas, the boundaries, and properties that hold for any logits."""

from __future__ import annotations

import dataclasses
import math
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_runtime.bundle.policy import CaseRule, DecisionPolicy, Head
from edge_runtime.bundle.spec import ModelSpec
from edge_runtime.decision.case import CaseReason, decide_case, sure
from edge_runtime.decision.rule import decisions, margins
from edge_runtime.decision.scores import positive_scores, scores_of
from edge_runtime.decision.verdict import Decision, Reason
from edge_runtime.images.colour import ColourOrder
from edge_runtime.preprocessing.steps import Colour, Interpolation, PixelType, Resize
from tests.unit.decision.plain_decision import ruled

STEPS = (Colour(ColourOrder.RGB), Resize(9, 9, Interpolation.AREA, PixelType.UINT8))
LABELS = ("normal", "cyst", "benign", "malignant", "invasive")


def spec(
    head: Head, labels: int = 2, positives: int = 1, cutoff: float = 0.5, floor: float = 0.0, temperature: float = 1.0
) -> ModelSpec:
    """A spec whose last ``positives`` labels are positive."""
    return ModelSpec(
        name="test",
        version="1.0.0",
        summary="",
        steps=STEPS,
        labels=LABELS[:labels],
        positive=LABELS[labels - positives : labels],
        head=head,
        policy=DecisionPolicy(cutoff, floor, temperature),
    )


SOFTMAX, SIGMOID, PAIR = spec(Head.SOFTMAX, 4, 2), spec(Head.SIGMOID), spec(Head.INDEPENDENT_SIGMOIDS)
LOGIT_HEADS = [head for head in Head if head is not Head.PROBABILITIES]  # see test_probabilities.py
REPEATABLE = settings(derandomize=True, max_examples=300, deadline=None, database=None)


@st.composite
def cases(draw: st.DrawFn) -> tuple[list[float], ModelSpec]:
    """Logits between -1000 and 1000, and a spec that takes them."""
    head = draw(st.sampled_from(LOGIT_HEADS))
    labels = 2 if head is Head.SIGMOID else draw(st.integers(2, 5))
    positives = draw(st.integers(1, labels - 1))
    thresholds = st.floats(0, 1, allow_subnormal=False)
    temperature = draw(st.just(1.0) | st.floats(0.05, 20.0))
    chosen = spec(head, labels, positives, draw(thresholds), draw(thresholds), temperature)
    number = st.floats(-1000, 1000) | st.floats(-3, 3) | st.sampled_from([-1000.0, 0.0, 1000.0])
    return draw(st.lists(number, min_size=chosen.outputs, max_size=chosen.outputs)), chosen


def sigmoid(z: float) -> float:
    return 1 / (1 + math.exp(-z))


def test_softmax_and_sigmoid_are_their_formulas() -> None:
    z = [-1.5, 0.25, 2.0, 0.5]
    exponentials = [math.exp(v) for v in z]
    expected = [e / sum(exponentials) for e in exponentials]
    np.testing.assert_allclose(scores_of([z], SOFTMAX)[0], expected, rtol=1e-14)
    np.testing.assert_allclose(scores_of([[0.7]], SIGMOID)[0], [sigmoid(-0.7), sigmoid(0.7)], rtol=1e-14)
    independent = scores_of([[0.7, -2.0]], PAIR)[0]
    np.testing.assert_allclose(independent, [sigmoid(0.7), sigmoid(-2)], rtol=1e-14)


def test_the_positive_score_is_the_formula_of_its_head() -> None:
    p = scores_of([[1.0, 2.0, 0.5, -1.0]], SOFTMAX)[0]
    assert positive_scores([[1.0, 2.0, 0.5, -1.0]], SOFTMAX)[0] == pytest.approx(p[2] + p[3], rel=1e-14)
    assert positive_scores([[0.7]], SIGMOID)[0] == pytest.approx(sigmoid(0.7), rel=1e-14)
    a, b = sigmoid(0.7), sigmoid(-2.0)
    assert positive_scores([[-2.0, 0.7]], PAIR)[0] == pytest.approx(a / (a + b), rel=1e-14)


@pytest.mark.parametrize("temperature", [0.05, 0.5, 1.0, 1.7, 20.0])
@pytest.mark.parametrize("head", LOGIT_HEADS)
def test_a_temperature_divides_the_logits_before_any_score(head: Head, temperature: float) -> None:
    rows = np.random.default_rng(4).normal(0, 3, (50, 1 if head is Head.SIGMOID else 2))
    warm, plain = spec(head, temperature=temperature, floor=0.6), spec(head, floor=0.6)
    divided = rows / temperature
    np.testing.assert_array_equal(scores_of(rows, warm), scores_of(divided, plain))
    np.testing.assert_array_equal(positive_scores(rows, warm), positive_scores(divided, plain))
    np.testing.assert_array_equal(margins(rows, warm), margins(divided, plain))
    assert decisions(rows, warm) == decisions(divided, plain)
    assert ruled(rows[0], warm) == ruled(divided[0], plain)


def test_a_higher_temperature_lowers_confidence_by_the_formula() -> None:
    assert ruled([2.0], spec(Head.SIGMOID, temperature=4.0)).score == pytest.approx(sigmoid(0.5), rel=1e-14)
    hot = spec(Head.SIGMOID, floor=0.8, temperature=4.0)
    assert ruled([2.0], spec(Head.SIGMOID, floor=0.8)).decision is Decision.POSITIVE
    assert (ruled([2.0], hot).decision, ruled([2.0], hot).reason) == (
        Decision.REFER,
        Reason.LOW_CONFIDENCE,
    )


@pytest.mark.parametrize("temperature", [1e-6, 1e6])
def test_no_float32_logit_overflows_at_an_allowed_temperature(temperature: float) -> None:
    largest = float(np.finfo(np.float32).max)
    for head in LOGIT_HEADS:
        chosen = spec(head, temperature=temperature)
        for row in ([[largest] * chosen.outputs], [[-largest] * (chosen.outputs - 1) + [largest]]):
            assert np.isfinite(scores_of(row, chosen)).all()
            assert np.isfinite(positive_scores(row, chosen)).all()


def test_scores_near_one_keep_more_digits_than_float32_has() -> None:
    assert 1 - scores_of([[20.0]], SIGMOID)[0, 1] == pytest.approx(math.exp(-20), rel=1e-6)


def test_a_sum_of_positive_scores_never_exceeds_one() -> None:
    """Unclipped, the sum of some of these is 4.4e-16 over 1."""
    logits = np.random.default_rng(61).normal(0, 2, (1000, 5))
    logits[:, 0] = -1000
    found = positive_scores(logits, spec(Head.SOFTMAX, 5, 4))
    assert found.max() <= 1, f"{found.max() - 1} over 1 for {logits[found.argmax()].tolist()}"


EXTREMES = [-1000.0, -999.0, -40.0, -1.0, 0.0, 1e-9, 1.0, 36.0, 999.0, 1000.0]


def test_a_cutoff_of_a_half_is_argmax_for_independent_sigmoids() -> None:
    """Logits over 37 are equal scores to float64; such a tie is POSITIVE, never a missed finding."""
    pairs = np.array([(a, b) for a in EXTREMES for b in EXTREMES])
    for (other, positive), decision in zip(pairs, decisions(pairs, PAIR), strict=True):
        argmax = Decision.POSITIVE if positive >= other else Decision.NEGATIVE
        tied = min(other, positive) > 37
        assert decision is (Decision.POSITIVE if tied else argmax), f"logits {other}, {positive}"


def test_a_score_on_the_cutoff_is_positive() -> None:
    for head in (Head.SIGMOID, Head.INDEPENDENT_SIGMOIDS):
        on = spec(head)
        zeros = np.zeros(on.outputs)
        verdict = ruled(zeros, on)
        assert (verdict.score, verdict.decision, verdict.reason) == (0.5, Decision.POSITIVE, Reason.ABOVE_CUTOFF)
        above = dataclasses.replace(on, policy=DecisionPolicy(math.nextafter(0.5, 1), 0.0))
        assert ruled(zeros, above).decision is Decision.NEGATIVE


def test_a_confidence_on_the_floor_is_not_referred() -> None:
    on = spec(Head.SIGMOID, floor=0.5)
    assert ruled([0.0], on).decision is Decision.POSITIVE
    below = dataclasses.replace(on, policy=DecisionPolicy(0.5, math.nextafter(0.5, 1)))
    verdict = ruled([0.0], below)
    assert (verdict.decision, verdict.reason) == (Decision.REFER, Reason.LOW_CONFIDENCE)


def test_cutoffs_of_zero_and_one_answer_one_way() -> None:
    logits = [[-1000.0], [0.0], [30.0]]
    assert decisions(logits, spec(Head.SIGMOID, cutoff=0.0)) == [Decision.POSITIVE] * 3
    assert decisions(logits, spec(Head.SIGMOID, cutoff=1.0)) == [Decision.NEGATIVE] * 3


def test_the_label_is_the_strongest_on_the_decided_side() -> None:
    """Two weak positive labels outweigh the strongest label, which is negative."""
    logits = np.log([0.45, 0.05, 0.2, 0.3])
    verdict = ruled(logits, SOFTMAX)
    assert (verdict.decision, verdict.label) == (Decision.POSITIVE, "malignant")
    strict = dataclasses.replace(SOFTMAX, policy=DecisionPolicy(0.6, 0.0))
    assert (ruled(logits, strict).decision, ruled(logits, strict).label) == (
        Decision.NEGATIVE,
        "normal",
    )
    referred = dataclasses.replace(SOFTMAX, policy=DecisionPolicy(0.5, 0.9))
    assert (ruled(logits, referred).decision, ruled(logits, referred).label) == (
        Decision.REFER,
        "normal",
    )


MARGINS: list[tuple[float, float, float, float]] = [
    # score, cut-off, floor, expected; head sigmoid, so the confidence is max(score, 1 - score)
    (0.70, 0.50, 0.00, 0.20),  # the cut-off alone
    (0.70, 0.50, 0.60, 0.10),  # the floor is nearer
    (0.70, 0.65, 0.60, 0.05),  # the cut-off is nearer
    (0.70, 0.69, 0.80, 0.10),  # referred: the near cut-off does not matter
    (0.20, 0.50, 0.75, 0.05),
    (0.80, 0.80, 0.20, 0.00),
]


@pytest.mark.parametrize("score, cutoff, floor, expected", MARGINS)
def test_the_margin_is_the_way_to_the_nearest_threshold_that_matters(
    score: float, cutoff: float, floor: float, expected: float
) -> None:
    logit = math.log(score / (1 - score))
    assert margins([[logit]], spec(Head.SIGMOID, cutoff=cutoff, floor=floor))[0] == pytest.approx(expected, abs=1e-12)


def test_a_rerun_is_the_reason_whatever_the_decision() -> None:
    for logit, floor, decision in (
        (3.0, 0.0, Decision.POSITIVE),
        (-3.0, 0.0, Decision.NEGATIVE),
        (0.1, 0.9, Decision.REFER),
    ):
        verdict = ruled([logit], spec(Head.SIGMOID, floor=floor), rerun=True)
        assert (verdict.decision, verdict.reason) == (decision, Reason.PRECISION_RERUN)


@REPEATABLE
@given(cases())
def test_every_verdict_is_sound(case: tuple[list[float], ModelSpec]) -> None:
    logits, chosen = case
    verdict = ruled(logits, chosen)
    scores = list(verdict.scores.values())
    assert tuple(verdict.scores) == chosen.labels
    assert all(0 <= score <= 1 for score in (*scores, verdict.score))
    assert verdict.confidence == max(scores)
    assert (verdict.decision is Decision.REFER) == (verdict.confidence < chosen.policy.confidence_floor)
    if verdict.decision is not Decision.REFER:
        positive = verdict.score >= chosen.policy.cutoff
        assert (verdict.decision is Decision.POSITIVE) == positive
        assert (verdict.label in chosen.positive) == positive
    if chosen.head is not Head.INDEPENDENT_SIGMOIDS:
        assert sum(scores) == pytest.approx(1, abs=1e-12)


@REPEATABLE
@given(cases())
def test_one_by_one_or_together_gives_the_same(case: tuple[list[float], ModelSpec]) -> None:
    logits, chosen = case
    rows = np.array([logits, np.zeros_like(logits), np.negative(logits)])
    alone = [ruled(row, chosen) for row in rows]
    assert decisions(rows, chosen) == [verdict.decision for verdict in alone]
    assert positive_scores(rows, chosen).tolist() == [verdict.score for verdict in alone]


@REPEATABLE
@given(cases(), st.floats(0, 50))
def test_a_higher_positive_logit_never_lowers_the_score(case: tuple[list[float], ModelSpec], rise: float) -> None:
    logits, chosen = case
    raised = [*logits[:-1], logits[-1] + rise]
    before, after = positive_scores([logits, raised], chosen)
    assert after >= before - 1e-12, f"{before} to {after}"


@REPEATABLE
@given(cases(), st.integers(0, 2**32))
def test_logits_closer_than_the_margin_decide_alike(case: tuple[list[float], ModelSpec], seed: int) -> None:
    """The guard band rests on this: moving score and confidence by less than the margin flips nothing."""
    logits, chosen = case
    moved = np.array([logits]) + np.random.default_rng(seed).normal(0, 0.1, (1, len(logits)))
    both = np.vstack([[logits], moved])
    score, confidence = positive_scores(both, chosen), scores_of(both, chosen).max(axis=1)
    if max(abs(score[1] - score[0]), abs(confidence[1] - confidence[0])) < margins([logits], chosen)[0]:
        first, second = decisions(both, chosen)
        assert first is second


P, N, R = Decision.POSITIVE, Decision.NEGATIVE, Decision.REFER
CASE_RULE = CaseRule(0.9, 2)

CASES: list[tuple[str, list[Decision], list[float], Decision, CaseReason, int, int]] = [
    # what it is, decisions, confidences → decision, reason, answered, count
    ("the count is reached", [P, P, N], [0.9, 0.99, 0.95], P, CaseReason.ENOUGH_POSITIVE, 3, 2),
    ("one more than the count", [P, P, P], [0.9, 0.9, 0.9], P, CaseReason.ENOUGH_POSITIVE, 3, 3),
    ("the second is not sure", [P, P, N], [0.9, 0.89, 0.95], N, CaseReason.TOO_FEW_POSITIVE, 2, 1),
    ("none is positive", [N, N, R], [0.9, 0.99, 0.95], N, CaseReason.TOO_FEW_POSITIVE, 2, 0),
    ("a referred image never counts", [P, R, N], [0.9, 0.99, 0.95], N, CaseReason.TOO_FEW_POSITIVE, 2, 1),
    ("one answered cannot reach two", [P, N, N], [0.95, 0.5, 0.5], R, CaseReason.TOO_FEW_ANSWERED, 1, 1),
    ("one answered negative cannot clear", [N, P, P], [0.95, 0.5, 0.5], R, CaseReason.TOO_FEW_ANSWERED, 1, 0),
    ("all are unsure", [P, P, N], [0.89, 0.5, 0.6], R, CaseReason.LOW_CONFIDENCE, 0, 0),
    ("all are referred", [R, R, R], [0.99, 0.99, 0.99], R, CaseReason.LOW_CONFIDENCE, 0, 0),
    ("no image", [], [], R, CaseReason.LOW_CONFIDENCE, 0, 0),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case[0])
def test_a_case_follows_from_its_sure_images(
    case: tuple[str, list[Decision], list[float], Decision, CaseReason, int, int],
) -> None:
    _, found, confidence, decision, reason, answered, count = case
    verdict = decide_case(found, confidence, CASE_RULE)
    assert (verdict.decision, verdict.reason) == (decision, reason)
    assert (verdict.images, verdict.answered, verdict.count) == (len(found), answered, count)


@REPEATABLE
@given(
    st.lists(st.tuples(st.sampled_from(Decision), st.sampled_from([0.5, 0.8, 0.9, 0.99])), max_size=12),
    st.integers(1, 5),
)
def test_a_case_equals_a_count_in_plain_python(images: list[tuple[Decision, float]], count: int) -> None:
    verdict = decide_case([d for d, _ in images], [c for _, c in images], CaseRule(0.9, count))
    positive = sum(d is P and c >= 0.9 for d, c in images)
    negative = sum(d is N and c >= 0.9 for d, c in images)
    expected = P if positive >= count else N if positive + negative >= count else R
    assert (verdict.decision, verdict.count, verdict.answered) == (expected, positive, positive + negative)


@REPEATABLE
@given(st.lists(st.tuples(st.sampled_from(Decision), st.floats(0, 1)), min_size=1, max_size=12), st.randoms())
def test_the_order_of_images_does_not_matter(images: list[tuple[Decision, float]], random: Random) -> None:
    mixed = random.sample(images, len(images))
    first, second = (decide_case([d for d, _ in some], [c for _, c in some], CASE_RULE) for some in (images, mixed))
    assert first == second


def test_decisions_without_their_confidences_are_refused() -> None:
    with pytest.raises(ValueError, match="found 2 decisions and confidences of shape"):
        sure([P, N], [0.9], 0.8)
