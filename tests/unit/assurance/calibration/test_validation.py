"""What is shown to help and what is not, on drawn sites: alike, shifted, worthless, too small."""

from __future__ import annotations

from math import exp
from statistics import NormalDist

import numpy as np
import pytest

from edge_runtime.assurance.calibration import validation
from edge_runtime.assurance.calibration.case_scores import deciding_scores
from edge_runtime.assurance.calibration.fitting import fit
from edge_runtime.assurance.calibration.target import SiteTarget
from edge_runtime.assurance.calibration.validation import FOLDS, folds_of, validate
from edge_runtime.errors import CalibrationError
from tests.unit.assurance.calibration.drawn import drawn, names

SENSITIVITY, YOUDEN = SiteTarget(sensitivity=0.85), SiteTarget(youden=True)
OWN_CUTOFF = 1 / (1 + exp(-2.0 * (1.0 + NormalDist().inv_cdf(0.15))))
"""The cut-off with a sensitivity of 0.85 on the drawn cases without shift."""


@pytest.mark.parametrize(("target", "cutoff"), [(SENSITIVITY, OWN_CUTOFF), (YOUDEN, 0.5)])
def test_a_site_like_that_of_training_is_not_shown_to_be_helped(target: SiteTarget, cutoff: float) -> None:
    """At most 5 % of useless calibrations may pass; of 20 draws more than 4 would have a chance of 0.003."""
    passed = 0
    for seed in range(20):
        answers = drawn(40, 60, cutoff=cutoff, seed=seed)
        passed += validate(answers, names(answers), target).helps
    assert passed <= 4


@pytest.mark.parametrize("shift", [-4.0, 4.0])
@pytest.mark.parametrize(("target", "cutoff"), [(SENSITIVITY, OWN_CUTOFF), (YOUDEN, 0.5)])
def test_a_shifted_site_is_helped(target: SiteTarget, cutoff: float, shift: float) -> None:
    answers = drawn(60, 90, cutoff=cutoff, shift=shift)
    found = validate(answers, names(answers), target)
    assert found.helps and not found.missing and found.validation.p_value <= 0.025
    changes = {change.name: change for change in found.validation.changes}
    assert changes["balanced accuracy"].difference.low > 0
    assert found.validation.cutoff_low <= fit(answers, target).cutoff <= found.validation.cutoff_high


def test_figures_are_of_thresholds_that_never_saw_the_case() -> None:
    """Each fold again by hand, from the cases of the other folds alone."""
    answers = drawn(40, 60, shift=2.0)
    labels = names(answers)
    fold = folds_of(answers.positive, labels)
    called = np.zeros(len(answers), np.bool_)
    for turn in range(FOLDS):
        others = fold != turn
        policy = fit(answers.only(others), YOUDEN)
        called[~others] = deciding_scores(answers.only(~others), policy).score >= policy.cutoff
    changes = {change.name: change for change in validate(answers, labels, YOUDEN).validation.changes}
    assert changes["sensitivity"].after.value == called[answers.positive].mean()
    assert changes["specificity"].after.value == (~called)[~answers.positive].mean()


def test_folds_hold_whole_cases_of_both_classes_whatever_the_order() -> None:
    answers = drawn(37, 64)
    labels = names(answers)
    fold = folds_of(answers.positive, labels)
    for kind in (True, False):
        counts = np.bincount(fold[answers.positive == kind], minlength=FOLDS)
        assert counts.max() - counts.min() <= 1
    order = np.random.default_rng(2).permutation(len(labels))
    assert (folds_of(answers.positive[order], [labels[i] for i in order]) == fold[order]).all()


def test_a_network_without_a_ranking_is_not_helped_by_calling_all_cases_positive() -> None:
    answers = drawn(80, 120, cutoff=0.9, apart=1e-3)
    found = validate(answers, names(answers), SiteTarget(sensitivity=0.9))
    assert not found.helps
    assert found.missing


@pytest.mark.parametrize(
    ("positive", "negative", "target", "text"),
    [
        (19, 60, YOUDEN, "too few positive cases: 19, expected 20"),
        (60, 19, YOUDEN, "too few negative cases: 19, expected 20"),
        (39, 60, SiteTarget(sensitivity=0.95), "too few positive cases: 39, expected 40"),
    ],
)
def test_too_few_cases_are_refused_by_name(positive: int, negative: int, target: SiteTarget, text: str) -> None:
    answers = drawn(positive, negative, shift=4.0)
    with pytest.raises(CalibrationError, match=text) as caught:
        validate(answers, names(answers), target)
    assert caught.value.code == "calibration_too_few"


def test_several_tries_on_the_same_answers_share_the_level() -> None:
    answers = drawn(40, 60, shift=2.5, seed=1)
    first = validate(answers, names(answers), YOUDEN)
    assert first.helps
    many = int(0.025 / first.validation.p_value)
    assert validate(answers, names(answers), YOUDEN, tries=many).helps
    assert not validate(answers, names(answers), YOUDEN, tries=many + 1).helps


def test_an_error_above_the_target_in_cross_validation_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = drawn(60, 90, shift=4.0)
    monkeypatch.setattr(validation, "fit", lambda part, target: fit(part, YOUDEN))  # a floor that keeps nothing
    found = validate(answers, names(answers), SiteTarget(youden=True, max_error=0.05))
    assert not found.helps and found.missing.endswith("decided cases are wrong in cross-validation, more than 0.05")
    assert validate(answers, names(answers), SiteTarget(youden=True, max_error=0.5)).helps
