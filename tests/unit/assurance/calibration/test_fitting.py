"""Temperature, cut-off and floor fitted by case, against SciPy, scikit-learn and the functions of training."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.optimize import minimize_scalar
from sklearn.metrics import log_loss as sklearn_log_loss
from sklearn.metrics import roc_curve

from edge_runtime.assurance.calibration.case_scores import deciding_scores
from edge_runtime.assurance.calibration.fitting import FLOORS, fit, fit_temperature, log_loss
from edge_runtime.assurance.calibration.target import SiteTarget
from edge_runtime.assurance.protocol import Counting
from edge_runtime.bundle.policy import DecisionPolicy, Head
from edge_runtime.errors import CalibrationError, UsageError
from tests.unit.assurance.calibration.drawn import drawn
from training.metrics.confidence import cutoff_for_sensitivity, cutoff_youden
from training.policy import selective_prediction


@pytest.mark.parametrize("times", [0.4, 1.0, 3.0])
def test_the_temperature_has_the_smallest_loss(times: float) -> None:
    answers = drawn(80, 120)
    answers = replace(answers, logits=answers.logits * times)
    truth, z = answers.positive, answers.logits[:, 0]

    def loss(log_t: float) -> float:
        return float(sklearn_log_loss(truth, 1 / (1 + np.exp(-z / np.exp(log_t)))))

    best = float(np.exp(minimize_scalar(loss, bounds=(-3, 3), method="bounded", options={"xatol": 1e-7}).x))
    assert fit_temperature(answers) == pytest.approx(best, rel=1e-3)
    assert log_loss(answers, DecisionPolicy(0.5, 0.0, 2.0)) == pytest.approx(loss(np.log(2.0)), rel=1e-9)


def test_a_temperature_that_the_cases_do_not_determine_is_kept() -> None:
    answers = drawn(30, 30)
    separated = replace(answers, logits=np.where(answers.positive, 5.0, -5.0)[:, np.newaxis])
    assert fit_temperature(separated) == answers.spec.policy.temperature
    probabilities = replace(answers, spec=replace(answers.spec, head=Head.PROBABILITIES))
    assert fit_temperature(probabilities) == 1.0


@pytest.mark.parametrize("seed", range(5))
def test_cutoffs_are_those_of_training_where_each_case_has_one_image(seed: int) -> None:
    answers = drawn(40, 70, shift=1.5, seed=seed)
    for target, expected in (
        (SiteTarget(sensitivity=0.9), lambda t, s: cutoff_for_sensitivity(t, s, 0.9)),
        (SiteTarget(youden=True), cutoff_youden),
    ):
        policy = fit(answers, target)
        score = deciding_scores(answers, policy).score
        assert policy.cutoff == pytest.approx(expected(answers.positive, score), rel=1e-12)


def test_the_sensitivity_is_reached_at_the_best_specificity() -> None:
    answers = drawn(50, 90, shift=-2.0)
    policy = fit(answers, SiteTarget(sensitivity=0.9))
    score = deciding_scores(answers, policy).score
    false_alarms, sensitivity, _ = roc_curve(answers.positive, score, drop_intermediate=False)
    assert (score >= policy.cutoff)[~answers.positive].mean() == pytest.approx(false_alarms[sensitivity >= 0.9].min())
    assert (score >= policy.cutoff)[answers.positive].mean() >= 0.9


def test_the_floor_is_the_lowest_that_keeps_the_error() -> None:
    answers = drawn(200, 300, apart=1.6)
    policy = fit(answers, SiteTarget(youden=True, max_error=0.15, referred=Counting.POSITIVE))
    assert policy.confidence_floor in FLOORS and 0.5 < policy.confidence_floor < 0.95
    found = deciding_scores(answers, policy)
    decided = np.array([kind.value in ("POSITIVE", "NEGATIVE") for kind in found.found(policy.cutoff)])
    wrong = ((found.score >= policy.cutoff) != answers.positive)[decided].mean()
    assert wrong < 0.15 and 0.4 < decided.mean() < 1.0
    assert FLOORS == selective_prediction.FLOORS


def test_a_floor_is_carried_over_to_the_new_temperature() -> None:
    answers = drawn(80, 120)
    spec = replace(answers.spec, policy=DecisionPolicy(0.5, 0.9))
    answers = replace(answers, logits=answers.logits * 3, spec=spec)
    policy = fit(answers, SiteTarget(youden=True))
    before, after = (deciding_scores(answers, p).below for p in (spec.policy, policy))
    assert policy.temperature > 2 and policy.confidence_floor < 0.8
    assert [kind.value for kind in before] == [kind.value for kind in after]


def test_targets_that_no_cutoff_meets_are_refused() -> None:
    answers = drawn(40, 40)
    failing = replace(answers, failed=answers.positive & (np.arange(80) % 2 == 0), familiar=np.arange(80) % 2 == 1)
    with pytest.raises(CalibrationError, match=r"no cut-off with a sensitivity of 0\.9 .* the highest is 0\.500"):
        fit(failing, SiteTarget(sensitivity=0.9))
    with pytest.raises(CalibrationError, match="score no higher than negative"):
        fit(replace(answers, positive=~answers.positive), SiteTarget(youden=True))
    with pytest.raises(CalibrationError, match=r"no confidence floor .* at 0\.001 or less"):
        fit(answers, SiteTarget(youden=True, max_error=0.001))


@pytest.mark.parametrize("bad", [{}, {"youden": True, "sensitivity": 0.9}, {"sensitivity": 1.0}])
def test_a_target_is_one_and_in_range(bad: dict[str, float]) -> None:
    with pytest.raises(UsageError):
        SiteTarget(**bad)  # type: ignore[arg-type]
