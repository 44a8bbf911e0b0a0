"""Outcomes of cases and the judgement of floors, without a network."""

from __future__ import annotations

from collections import Counter

import pytest

from edge_runtime.assurance.acceptance import Finding, judge
from edge_runtime.assurance.cases import Case, CaseImage
from edge_runtime.assurance.outcome import Found, ImageAnswer, Outcome, outcome_of
from edge_runtime.assurance.protocol import Claims, Counting
from edge_runtime.bundle.policy import CaseRule, DecisionPolicy
from edge_runtime.decision.verdict import Decision
from edge_runtime.errors import UsageError

YES = ImageAnswer(Decision.POSITIVE, "ABOVE_CUTOFF", 0.9, 0.9)
NO = ImageAnswer(Decision.NEGATIVE, "BELOW_CUTOFF", 0.9, 0.1)
REFERRED = ImageAnswer(Decision.REFER, "UNFAMILIAR_INPUT", 0.9, 0.5)
FAILED = ImageAnswer(None, "image_truncated")
PLAIN = DecisionPolicy(cutoff=0.5, confidence_floor=0.0)
STRICT, LENIENT = Claims(0.85), Claims(0.85, referred=Counting.POSITIVE, failed=Counting.POSITIVE)


def _case(positive: bool, images: int = 1, **groups: str) -> Case:
    return Case("c", positive, tuple(CaseImage(f"{i}.png", f"{i:064x}") for i in range(images)), groups)


@pytest.mark.parametrize(
    ("answers", "found"),
    [
        ([NO, NO], Found.NEGATIVE),
        ([NO, YES], Found.POSITIVE),
        ([NO, REFERRED], Found.REFER),
        ([NO, FAILED], Found.FAILED),
        ([YES, FAILED], Found.POSITIVE),
        ([YES, REFERRED], Found.POSITIVE),
        ([FAILED, FAILED], Found.FAILED),
    ],
)
def test_images_of_a_case_are_combined(answers: list[ImageAnswer], found: Found) -> None:
    assert outcome_of(_case(True, 2), answers, PLAIN, STRICT).found is found


def test_the_models_case_rule_combines_where_there_is_one() -> None:
    policy = DecisionPolicy(cutoff=0.5, confidence_floor=0.0, case=CaseRule(confidence=0.8, count=2))
    assert outcome_of(_case(True, 3), [YES, NO, NO], policy, STRICT).found is Found.NEGATIVE
    assert outcome_of(_case(True, 3), [YES, YES, FAILED], policy, STRICT).found is Found.POSITIVE
    assert outcome_of(_case(True, 3), [YES, NO, FAILED], policy, STRICT).found is Found.FAILED


@pytest.mark.parametrize("answer", [REFERRED, FAILED])
@pytest.mark.parametrize("positive", [True, False])
def test_what_has_no_decision_counts_as_the_protocol_says(answer: ImageAnswer, positive: bool) -> None:
    assert outcome_of(_case(positive), [answer], PLAIN, STRICT).right is False
    assert outcome_of(_case(positive), [answer], PLAIN, LENIENT).right is positive


def _outcomes(positive: bool, right: int, wrong: int) -> list[Outcome]:
    good, bad = (Found.POSITIVE, Found.NEGATIVE) if positive else (Found.NEGATIVE, Found.POSITIVE)
    case = _case(positive, scanner="A")
    return [Outcome(case, good, True)] * right + [Outcome(case, bad, False)] * wrong


@pytest.mark.parametrize(
    ("right", "wrong", "finding", "accepted"),
    [
        (55, 4, Finding.SHOWN, True),
        (54, 5, Finding.NOT_SHOWN, False),
        (30, 29, Finding.BELOW, False),
        (18, 0, Finding.NOT_SHOWN, False),
        (19, 0, Finding.SHOWN, True),
        (0, 0, Finding.NOT_SHOWN, False),
    ],
)
def test_a_floor_is_shown_by_its_lower_bound(right: int, wrong: int, finding: Finding, accepted: bool) -> None:
    result = judge(_outcomes(True, right, wrong), STRICT, Counter())
    assert result.claims[0].finding is finding
    assert result.claims[1].finding is None
    assert result.accepted is accepted
    assert bool(result.notes) is (finding is Finding.NOT_SHOWN)


def test_too_few_cases_are_called_that() -> None:
    assert judge(_outcomes(True, 18, 0), STRICT, Counter()).notes == (
        "sensitivity: too few cases. 18 cannot show 0.85, even without an error; 19 can.",
    )


def test_each_floor_counts_and_subgroups_are_told() -> None:
    outcomes = _outcomes(True, 59, 0) + _outcomes(False, 40, 20)
    result = judge(outcomes, Claims(0.85, 0.75), Counter({"image_alpha": 2}))
    assert [claim.finding for claim in result.claims] == [Finding.SHOWN, Finding.NOT_SHOWN]
    assert not result.accepted
    (group,) = result.subgroups
    assert (group.group, group.value, group.sensitivity.right, group.specificity.right) == ("scanner", "A", 59, 40)
    assert result.rejected == {"image_alpha": 2}


@pytest.mark.parametrize("claims", [(None, None), (1.0, None), (0.0, 0.5)])
def test_claims_need_a_floor(claims: tuple[float | None, float | None]) -> None:
    with pytest.raises(UsageError, match="expected one or both"):
        Claims(*claims)


def test_claims_need_a_confidence() -> None:
    with pytest.raises(UsageError, match=r"found a confidence of 0\.5"):
        Claims(0.8, confidence=0.5)
