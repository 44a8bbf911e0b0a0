"""Measuring again: patients are judged by the policy's rule or a fitted one, and slides show the right patient."""

import json
import shutil
from collections import Counter
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from click.testing import CliRunner

from edge_runtime.bundle.policy import CaseRule
from edge_runtime.serialisation.records import from_dict
from training.artifact import Artifact
from training.cli.evaluate import evaluate
from training.cli.slide import slide
from training.data.datasets import idc
from training.data.splits import Part
from training.errors import DatasetError
from training.evaluation.artifact_runner import OpenArtifact
from training.evaluation.case_report import choose_rule
from training.evaluation.measure import MeasurementDocument, measure_artifact
from training.metrics import evaluation
from training.metrics.classwise import ClassOutcomes
from training.policy.cases import fit_rule
from training.reporting.patient import judge_patient, largest_slide


@pytest.fixture(autouse=True)
def few_resamples(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evaluation, "RESAMPLES", 20)


@pytest.fixture
def ruled_artifact(phantom_artifact: Path, tmp_path: Path) -> Path:
    """The phantom artifact with a case rule in its policy."""
    folder = shutil.copytree(phantom_artifact, tmp_path / "ruled")
    artifact = Artifact(folder)
    spec = artifact.spec()
    artifact.write_choices(replace(spec, policy=replace(spec.policy, case=CaseRule(0.85, 3))), artifact.split())
    return folder


def _patients(artifact: Path, part: Part) -> list[str]:
    return sorted(group for group, found in Artifact(artifact).split().items() if found is part)


def test_the_rule_measured_on_test_patients_is_the_one_that_validation_patients_give(
    phantom_artifact: Path, phantom_data: Path
) -> None:
    held_out = measure_artifact(Artifact(phantom_artifact), phantom_data, "test")
    chosen_on = measure_artifact(Artifact(phantom_artifact), phantom_data, "validation")
    assert held_out.cases is not None and held_out.cases.evaluation is not None, held_out.cases
    assert held_out.cases.evaluation.rule == fit_rule(chosen_on.outcome)
    assert held_out.cases.evaluation.patients == len(_patients(phantom_artifact, Part.TEST))
    assert [s.group for s in held_out.samples] == held_out.outcome.groups.tolist()
    assert chosen_on.cases is not None and "flatter the rule" in chosen_on.cases.basis


def test_a_rule_in_the_policy_is_taken_instead(ruled_artifact: Path, phantom_data: Path) -> None:
    measured = measure_artifact(Artifact(ruled_artifact), phantom_data, "test")
    assert measured.cases is not None and measured.cases.evaluation is not None
    assert measured.cases.evaluation.rule == CaseRule(0.85, 3)
    assert measured.cases.basis == "The rule is part of the model's decision policy."


def test_without_validation_patients_in_the_data_there_is_no_rule_and_no_failure(
    phantom_artifact: Path, phantom_data: Path, tmp_path: Path
) -> None:
    unknown = next((phantom_data / "IDC_regular_ps50_idx5").iterdir())
    copy = tmp_path / "IDC_regular_ps50_idx5" / "99"
    for path in unknown.rglob("*.png"):
        target = copy / path.parent.name / path.name.replace(unknown.name, "99")
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target)
    chosen = choose_rule(OpenArtifact(Artifact(phantom_artifact), tmp_path))
    assert chosen.rule is None and "no validation patient is among the data" in chosen.basis


def test_strict_refuses_a_patch_that_cannot_be_read(phantom_artifact: Path, phantom_data: Path, tmp_path: Path) -> None:
    shutil.copytree(phantom_data, tmp_path / "data")
    patient = _patients(phantom_artifact, Part.TEST)[0]
    next((tmp_path / "data").rglob(f"{patient}_*.png")).write_bytes(b"no image")
    assert measure_artifact(Artifact(phantom_artifact), tmp_path / "data", "test").evaluations
    with pytest.raises(DatasetError, match=patient):
        measure_artifact(Artifact(phantom_artifact), tmp_path / "data", "test", strict=True)


def test_evaluate_prints_the_case_figures_as_text_and_as_json(phantom_artifact: Path, phantom_data: Path) -> None:
    command = [str(phantom_artifact), "--data", str(phantom_data)]
    text = CliRunner().invoke(evaluate, command)
    assert text.exit_code == 0, text.output
    assert "patients from patches on test: " in text.stdout and "  rule: a patient is positive when" in text.stdout
    found = from_dict(MeasurementDocument, json.loads(CliRunner().invoke(evaluate, [*command, "--json"]).stdout))
    assert (found.part, found.grouped_by) == ("test", "patients")
    assert found.cases is not None and found.cases.evaluation is not None
    for figure in found.cases.evaluation.figures:
        assert f"  {figure.name:36} {figure.text()}" in text.stdout


def test_the_report_shows_the_slide_of_the_patient_with_the_most_patches(
    phantom_artifact: Path, phantom_data: Path, tmp_path: Path
) -> None:
    measured = measure_artifact(Artifact(phantom_artifact), phantom_data, "test")
    groups = measured.outcome.groups
    keep = np.flatnonzero((groups != groups[0]) | (np.arange(len(groups)) > 3))
    samples, was = [measured.samples[int(i)] for i in keep], measured.outcome
    outcome = ClassOutcomes.of(was.logits[keep], was.labels[keep], groups[keep], was.spec)
    found = largest_slide(samples, outcome)
    counts = Counter(sample.group for sample in samples)
    assert found is not None and counts[found[0]] == max(counts.values())
    assert found[0] != groups[0], "that patient lost four patches"
    assert largest_slide((), outcome) is None


def test_a_patient_is_counted_by_hand_and_decided_by_the_rule(ruled_artifact: Path, phantom_data: Path) -> None:
    opened = OpenArtifact(Artifact(ruled_artifact), phantom_data)
    for name in _patients(ruled_artifact, Part.TEST):
        answers = opened.answer(opened.of_patient(name), name).outcome
        answered = int((answers.confidence >= 0.85).sum())  # above the policy's own floor of .80
        sure = int((answers.called & (answers.confidence >= 0.85)).sum())
        found = judge_patient(Artifact(ruled_artifact), phantom_data, name)
        assert answered >= 3, "the phantom network answers enough patches to decide"
        decision = "POSITIVE" if sure >= 3 else "NEGATIVE"
        assert found.line == (
            f"patient {name}: 16 patches, {answered} called with a confidence of 0.85 or more, "
            f"{sure} of them malignant; {decision} (POSITIVE from 3)"
        )


@pytest.mark.parametrize(
    ("part", "said"),
    [(Part.TRAIN, "was fitted on this patient"), (Part.VALIDATION, "chosen on"), (Part.TEST, "was not used")],
)
def test_slide_writes_any_patient_and_says_on_stderr_which_part_they_were_in(
    part: Part, said: str, ruled_artifact: Path, phantom_data: Path, tmp_path: Path
) -> None:
    name, out = _patients(ruled_artifact, part)[0], tmp_path / "new" / "slide.png"
    command = [str(ruled_artifact), "--data", str(phantom_data), "--patient", name, "--out", str(out)]
    result = CliRunner().invoke(slide, command)
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith(f"patient {name}: 16 patches, ") and result.stdout.count("\n") == 1
    assert said in result.stderr and part.value in result.stderr
    drawn = cv2.imread(str(out))
    assert drawn is not None and drawn.shape[0] == 900
    assert [path.name for path in out.parent.iterdir()] == ["slide.png"]


def test_a_patient_who_is_not_in_the_data_and_a_wrong_suffix_are_refused(
    phantom_artifact: Path, phantom_data: Path, tmp_path: Path
) -> None:
    first = idc.load(phantom_data).samples[0].group
    with pytest.raises(DatasetError, match=f"patient '1': found 20 patients .* such as {first}"):
        judge_patient(Artifact(phantom_artifact), phantom_data, "1")
    command = [str(phantom_artifact), "--data", str(phantom_data), "--patient", first]
    result = CliRunner().invoke(slide, [*command, "--out", str(tmp_path / "slide.jpg")])
    assert result.exit_code == 2 and "expected a name that ends in .png" in result.stderr
