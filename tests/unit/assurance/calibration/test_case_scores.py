"""Deciding scores of cases, against the rule of the acceptance, which decides image by image."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from edge_runtime.assurance.calibration.case_scores import case_answers, deciding_scores, logits_of, right
from edge_runtime.assurance.cases import Case, CaseImage
from edge_runtime.assurance.outcome import ImageAnswer, outcome_of
from edge_runtime.assurance.protocol import Claims, Counting
from edge_runtime.bundle.policy import CaseRule, DecisionPolicy, Head
from edge_runtime.bundle.spec import ModelSpec
from edge_runtime.decision.rule import DecisionRule
from edge_runtime.decision.scores import scores_of
from tests.unit.decision.test_verdict import BASE, PAIR

RULES = [None, CaseRule(0.8, 1), CaseRule(0.7, 3)]


def _answered(spec: ModelSpec, logits: np.ndarray, unfamiliar: bool) -> ImageAnswer:
    verdict = DecisionRule(spec).verdict(logits, familiar=not unfamiliar)
    return ImageAnswer(
        verdict.decision, verdict.reason.value, verdict.confidence, verdict.score, tuple(verdict.scores.values())
    )


def _drawn(spec: ModelSpec, seed: int) -> tuple[list[Case], list[list[ImageAnswer]], list[list[np.ndarray]]]:
    generator = np.random.default_rng(seed)
    cases, answers, logits = [], [], []
    for number in range(150):
        count = int(generator.integers(1, 6))
        images = tuple(CaseImage(f"{number}-{i}.png", f"{number:060x}{i:04x}") for i in range(count))
        cases.append(Case(str(number), bool(generator.random() < 0.4), images, {}))
        rows = [generator.normal(0, 2.5, spec.outputs).astype(np.float32) for _ in images]
        strange = generator.random(count) < 0.1
        failed = generator.random(count) < 0.07
        found = [_answered(spec, *pair) for pair in zip(rows, strange.tolist(), strict=True)]
        answers.append([ImageAnswer(None, "image_alpha") if bad else a for a, bad in zip(found, failed, strict=True)])
        logits.append(rows)
    return cases, answers, logits


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("head", [Head.SOFTMAX, Head.SIGMOID, Head.INDEPENDENT_SIGMOIDS])
@pytest.mark.parametrize("counting", list(Counting))
def test_cases_get_what_the_acceptance_gives_them(rule: CaseRule | None, head: Head, counting: Counting) -> None:
    """Under the policy that answered, and under another one, whose answers are computed from the logits again."""
    own = DecisionPolicy(0.4, 0.6, 1.3, rule)
    spec = replace(PAIR if head is Head.SIGMOID else BASE, head=head, policy=own)
    cases, answers, logits = _drawn(spec, 3)
    gathered = case_answers(cases, [answer for row in answers for answer in row], spec)
    claims = Claims(0.8, referred=counting, failed=counting)
    for policy in (own, DecisionPolicy(0.7, 0.75, 2.6, rule), DecisionPolicy(0.1, 0.0, 0.7, rule)):
        other = replace(spec, policy=policy)
        found = deciding_scores(gathered, policy).found(policy.cutoff)
        called = right(found, gathered.positive, counting, counting)
        for case, row, each, mine, good in zip(cases, answers, logits, found, called, strict=True):
            again = [
                a if a.decision is None else _answered(other, z, a.reason == "UNFAMILIAR_INPUT")
                for a, z in zip(row, each, strict=True)
            ]
            outcome = outcome_of(case, again, policy, claims)
            assert (mine, bool(good)) == (outcome.found, outcome.right)


@pytest.mark.parametrize("head", [Head.SOFTMAX, Head.SIGMOID, Head.INDEPENDENT_SIGMOIDS])
def test_logits_come_back_from_scores(head: Head) -> None:
    spec = replace(PAIR if head is Head.SIGMOID else BASE, head=head, policy=DecisionPolicy(0.5, 0.0, 1.6))
    logits = np.random.default_rng(5).normal(0, 8, (500, spec.outputs))
    back = logits_of(scores_of(logits, spec), spec)
    if head is Head.SOFTMAX:
        logits, back = (z - z.mean(axis=1, keepdims=True) for z in (logits, back))
    assert np.abs(back - logits).max() < 1e-3
    assert np.abs(scores_of(back, spec) - scores_of(logits, spec)).max() < 1e-12


def test_chosen_cases_are_those_alone() -> None:
    spec = replace(BASE, policy=DecisionPolicy(0.4, 0.6, 1.3))
    cases, answers, _ = _drawn(spec, 4)
    whole = case_answers(cases, [answer for row in answers for answer in row], spec)
    chosen = np.arange(len(cases)) % 3 == 1
    kept = [index for index in range(len(cases)) if chosen[index]]
    direct = case_answers([cases[i] for i in kept], [a for i in kept for a in answers[i]], spec)
    part = whole.only(chosen)
    for name in ("positive", "failed", "case", "logits", "familiar"):
        assert np.array_equal(getattr(part, name), getattr(direct, name)), name
