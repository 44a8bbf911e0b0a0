"""Temperatures from other folds: a fold's own answers have no part in them, and what they mend is seen."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import training.metrics.evaluation
from training.experiments.cross_validated_calibration import cross_fit, error_by_chance
from training.experiments.predictions import HeldOutPrediction
from training.metrics.confidence import expected_calibration_error, fit_temperature
from training.recipes import find_recipe

SPEC = find_recipe("busi-compact").spec
FOLDS = 3


@pytest.fixture(autouse=True)
def few_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    """Intervals are tested elsewhere."""
    monkeypatch.setattr(training.metrics.evaluation, "RESAMPLES", 20)


def _overconfident(times: float) -> list[HeldOutPrediction]:
    """Labels drawn from the softmax of some logits; what is answered are these logits, too large by ``times``."""
    rng = np.random.default_rng(3)
    logits = rng.normal(0, 1.5, (1500, len(SPEC.labels)))
    shares = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    drawn = [SPEC.labels[int(rng.choice(len(SPEC.labels), p=row))] for row in shares]
    return [
        HeldOutPrediction(str(i), str(i // 2), label, 1 + i % FOLDS, 0.5, tuple(float(z) for z in times * row))
        for i, (label, row) in enumerate(zip(drawn, logits, strict=True))
    ]


def test_confidence_that_is_too_high_in_every_fold_is_mended() -> None:
    found = cross_fit(_overconfident(4.0), SPEC)
    assert found.temperatures == pytest.approx([4.0] * FOLDS, rel=0.12)
    assert found.calibration.error.value == pytest.approx(found.by_chance, abs=0.01)
    untouched = cross_fit([replace(p, fold=1 + i % 2) for i, p in enumerate(_overconfident(1.0))], SPEC)
    assert untouched.temperatures == pytest.approx([1.0] * 2, rel=0.12)


def test_a_fold_s_own_answers_have_no_part_in_its_temperature() -> None:
    honest = _overconfident(2.0)
    wild = [replace(p, logits=tuple(9 * z for z in p.logits)) if p.fold == 2 else p for p in honest]
    found = cross_fit(wild, SPEC)
    assert found.temperatures[1] == cross_fit(honest, SPEC).temperatures[1]
    assert found.temperatures[0] != cross_fit(honest, SPEC).temperatures[0]
    others = [p for p in wild if p.fold != 2]
    labels = np.array([SPEC.labels.index(p.label) for p in others])
    assert found.temperatures[1] == round(fit_temperature([p.logits for p in others], labels, SPEC), 4)


def test_raw_logits_are_tempered_whatever_the_policy_says() -> None:
    tempered = replace(SPEC, policy=replace(SPEC.policy, temperature=2.5))
    answers = _overconfident(3.0)
    assert cross_fit(answers, tempered).temperatures == cross_fit(answers, SPEC).temperatures
    assert cross_fit(answers, tempered).calibration.error == cross_fit(answers, SPEC).calibration.error


def test_answers_as_right_as_they_say_have_the_error_by_chance_and_no_more() -> None:
    confidence = np.linspace(0.4, 1.0, 600)
    fresh = np.random.default_rng(11)
    drawn = [expected_calibration_error(confidence, fresh.random(600) < confidence) for _ in range(300)]
    assert error_by_chance(confidence) == pytest.approx(float(np.mean(drawn)), abs=0.002)
    assert error_by_chance(np.ones(50)) == 0.0
    assert error_by_chance(np.repeat(confidence, 9)) < error_by_chance(confidence) / 2
