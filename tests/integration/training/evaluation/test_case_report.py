"""Patients from patches: the rule's origin is said, and data that allow no rule are no failure."""

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest

from edge_runtime.bundle.policy import CaseRule
from edge_runtime.decision.case import decide_case
from edge_runtime.decision.verdict import Decision
from tests.integration.training.reporting.pages import full_page
from tests.page_text import page_text
from training.evaluation.case_report import CaseReport, ChosenRule, fitted_rule, report_cases, rule_text
from training.metrics import evaluation
from training.metrics.classwise import ClassOutcomes
from training.policy.cases import Patients, patch_counts
from training.recipes.idc_patch import SPEC
from training.reporting.case_figure import case_image, spread
from training.reporting.patient import Patient
from training.reporting.rendering import CaptionedImage
from training.reporting.report import report_html

RULE = CaseRule(0.9, 2)


@pytest.fixture(autouse=True)
def few_resamples(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evaluation, "RESAMPLES", 40)


def _outcome(sure: list[int], truth: list[bool], patches: int = 6) -> ClassOutcomes:
    """Patient i has ``sure[i]`` patches called malignant with confidence .98; all others are called benign."""
    called = np.concatenate([np.arange(patches) < count for count in sure])
    z = np.where(called, 4.0, -4.0)
    labels = np.repeat(truth, patches).astype(np.int64)
    groups = np.repeat([f"p{i:02d}" for i in range(len(sure))], patches)
    return ClassOutcomes.of(np.stack([-z, z], axis=1), labels, groups, SPEC)


def test_a_rule_is_measured_patient_by_patient() -> None:
    outcome = _outcome([3, 2, 1, 0, 0, 4], [True, True, True, False, False, False])
    found = report_cases(outcome, ChosenRule(RULE, "Chosen."), "test")
    assert found.basis == "Chosen."
    assert found.evaluation is not None and (found.evaluation.patients, found.evaluation.positives) == (6, 3)
    figures = {figure.name: figure for figure in found.evaluation.figures}
    assert figures["sensitivity"].value == pytest.approx(2 / 3, abs=1e-4)
    assert figures["specificity"].value == pytest.approx(2 / 3, abs=1e-4)
    wins = [1.0 if p > n else 0.5 if p == n else 0.0 for p in (3, 2, 1) for n in (0, 0, 4)]
    assert figures["auroc"].value == pytest.approx(np.mean(wins), abs=1e-4)
    assert all(figure.low is not None for figure in figures.values())


@pytest.mark.parametrize(("part", "said"), [("validation", "on whom such choices are made"), ("all", "if any are in")])
def test_a_part_that_flatters_the_rule_is_said_to(part: str, said: str) -> None:
    outcome = _outcome([3, 0], [True, False])
    assert said in report_cases(outcome, ChosenRule(RULE, "Chosen."), part).basis


def test_a_fitted_rule_separates_its_patients_and_says_on_how_many_it_rests() -> None:
    outcome = _outcome([5, 4, 3, 3, 1, 0, 1, 0], [True] * 4 + [False] * 4)
    chosen = fitted_rule(outcome)
    assert chosen.rule is not None and 2 <= chosen.rule.count <= 3
    assert "4 positive and 4 negative validation patients" in chosen.basis
    assert "determine a rule badly" in chosen.basis
    many = _outcome([5, 4, 3, 3, 4, 1, 0, 1, 0, 0], [True] * 5 + [False] * 5)
    assert "badly" not in fitted_rule(many).basis


def test_patients_of_one_kind_give_no_rule_and_a_reason_instead_of_an_error() -> None:
    chosen = fitted_rule(_outcome([5, 4], [True, True]))
    assert chosen.rule is None
    report = report_cases(_outcome([1, 2], [True, True]), chosen, "test")
    assert report.evaluation is None and report.basis.startswith("No rule: ")
    said = _section(report)
    assert "Decisions on patients from their patches" in said and "2 positive among 2 validation patients" in said


def _section(report: CaseReport | None, *images: CaptionedImage) -> str:
    """What the report says of patients, from the heading to the next."""
    page = replace(full_page(), cases=report, case_images=images)
    return "".join(
        part for part in page_text(report_html(page)).split("h2: ") if part.startswith("Decisions on patients")
    )


def test_the_section_holds_rule_figures_and_images() -> None:
    outcome = _outcome([3, 0], [True, False])
    image = CaptionedImage(case_image(patch_counts(outcome, 0.9), RULE, ("benign", "malignant")), "Dots.")
    report = report_cases(outcome, ChosenRule(RULE, "Chosen."), "test")
    said = _section(report, image)
    for part in (rule_text(RULE, "malignant"), "Chosen.", "sensitivity", "specificity", "auroc", "img: Dots."):
        assert part in said
    assert "img: Dots." in _section(None, image)
    assert _section(None) == ""


def _patients(counts: npt.NDArray[np.int64], truth: npt.NDArray[np.bool_]) -> Patients:
    return Patients(np.arange(len(counts)).astype(np.str_), truth, counts, counts + 1)


def test_the_image_is_drawn_for_many_for_one_sided_and_for_huge_counts() -> None:
    counts = np.array([0, 0, 0, 1, 2, 7, 900], dtype=np.int64)
    for truth in (counts > 1, np.ones(7, dtype=bool), np.zeros(7, dtype=bool)):
        assert case_image(_patients(counts, truth), RULE, ("benign", "malignant")).startswith(b"\x89PNG")
    none = _patients(np.zeros(3, dtype=np.int64), np.array([True, False, False]))
    assert case_image(none, replace(RULE, count=40), ("benign", "malignant")).startswith(b"\x89PNG")


def test_dots_of_one_count_never_lie_on_each_other_and_stay_in_their_band() -> None:
    counts = np.array([0] * 60 + [3] * 2 + [4], dtype=np.int64)
    offsets = spread(counts)
    places = {(int(count), round(float(offset), 9)) for count, offset in zip(counts, offsets, strict=True)}
    assert len(places) == len(counts)
    assert np.abs(offsets).max() <= 0.38 + 1e-12
    assert offsets[-1] == 0 and offsets[60] == -offsets[61]


def test_a_patient_of_whom_too_little_is_answered_is_referred_and_unread_patches_are_told() -> None:
    patient = Patient(
        "77", None, 1, 2, RULE, "Chosen.", decide_case([Decision.NEGATIVE], [0.95], RULE), "malignant", b""
    )
    assert patient.line == (
        "patient 77: 1 patches (2 more cannot be read), 1 called with a confidence of 0.9 or more, "
        "0 of them malignant; REFER (POSITIVE from 2)"
    )
    assert "no part of the model's split" in patient.origin
    assert replace(patient, rule=None, verdict=None).line.endswith("no decision. Chosen.")
