"""The report of any recipe holds every table and image, whatever its labels and its head are."""

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from edge_runtime.bundle.manifest import TrainingRecord
from edge_runtime.bundle.policy import CaseRule, Head
from edge_runtime.bundle.spec import ModelSpec
from edge_runtime.serialisation.records import from_dict
from training.artifact import Artifact, MeasuredFigures, create
from training.data.datasets import Dataset
from training.data.splits import Part
from training.data.tensors import Tensors
from training.evaluation.case_report import ChosenRule, report_cases
from training.evaluation.measure import Measurement, MeasurementDocument
from training.metrics import evaluation
from training.metrics.classwise import ClassOutcomes
from training.metrics.evaluation import evaluate_scores
from training.recipes import find_recipe
from training.recipes.idc_patch import SPEC
from training.reporting.page import write_page

EIGHT = find_recipe("density-malignancy-cnn").spec
THREE = replace(SPEC, labels=("normal", "benign", "malignant"), positive=("malignant",), head=Head.SOFTMAX)
ONE = replace(SPEC, labels=("normal", "abnormal"), positive=("abnormal",), head=Head.SIGMOID)
GROUPED_BY = "clusters of near-same images"
TABLES = {"Each label against the rest", "Negative against positive", "Operating point and calibration", "Coverage of"}
CAPTIONS = (
    "Rows are the truth",
    "Receiver",
    "Precision and recall",
    "Reliability",
    "Share of images",
    "Positive scores",
)


def _measurement(spec: ModelSpec, count: int = 240) -> Measurement:
    rng = np.random.default_rng(0)
    labels = rng.integers(0, len(spec.labels), count).astype(np.int64)
    noise = rng.normal(0, 2, (count, spec.outputs))
    known = labels[:, np.newaxis] * 4 - 2 if spec.head is Head.SIGMOID else 2 * np.eye(len(spec.labels))[labels]
    groups = np.array([f"g{i}" for i in rng.integers(0, 30, count)])
    tensors = Tensors(np.zeros((count, 1, 1, 3), np.float32), labels, groups, np.zeros((count, 6)), (), ())
    dataset = Dataset(Path("data"), spec.labels, (), grouped_by=GROUPED_BY, notes=("masks are not samples",))
    outcome = ClassOutcomes.of(noise + known, labels, groups, spec)
    figures = evaluate_scores(noise + known, tensors, spec, "test")
    return Measurement("test", (figures,), outcome, (), dataset)


def _artifact(folder: Path, spec: ModelSpec) -> Artifact:
    artifact = create(folder)
    artifact.write_choices(spec, {"g0": Part.TRAIN})
    record = TrainingRecord("r", "d", "c", "l", False, "by group", {"test": 240}, {"test": 30}, 2, {}, (), "")
    artifact.write_measured(MeasuredFigures(record, ()))
    artifact.history_path.write_text(
        "epoch,loss,val_loss,accuracy,val_accuracy\n0,1,1,.5,.5\n1,.5,.6,.7,.6\n", encoding="utf-8"
    )
    return artifact


@pytest.fixture(autouse=True)
def few_resamples(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evaluation, "RESAMPLES", 20)


@pytest.mark.parametrize("spec", [EIGHT, THREE, ONE, SPEC], ids=["eight", "three", "sigmoid", "two-sigmoids"])
def test_every_table_and_image_is_there_with_intervals_for_any_head(spec: ModelSpec, tmp_path: Path) -> None:
    write_page(tmp_path / "out", _artifact(tmp_path / "a", spec), _measurement(spec), "command")
    html = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    names = " ".join(re.findall(r'aria-label="([^"]*)"', html))
    assert [name for name in TABLES if name not in names] == []
    captions = re.findall(r"<figcaption>([^<]*)", html)
    assert [start for start in CAPTIONS if not any(caption.startswith(start) for caption in captions)] == []
    for figure in ("sensitivity at specificity 0.9", "expected calibration error", "auroc"):
        assert figure in html
    for confidence in ("≥ 0.8", "≥ 0.95", "≥ 0.99", "≥ 0.999", "≥ 0.9999"):
        assert f'<th scope="row">{confidence}</th>' in html
    for label in spec.labels:
        row = html.split(f'<th scope="row">{label}</th>')[1].split("</tr>")[0]
        assert row.count("<small>[") == 4, f"{label}: accuracy, precision, recall and F1 each with an interval"
    assert "Decisions on patients from their patches" not in html and not (tmp_path / "out" / "slide.png").exists()


def test_groups_are_called_what_the_data_set_calls_them_and_its_notes_are_told(tmp_path: Path) -> None:
    write_page(tmp_path / "out", _artifact(tmp_path / "a", THREE), _measurement(THREE), "command")
    html = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert f"bootstrap over {GROUPED_BY}" in html and f"interval over {GROUPED_BY}" in html
    assert "bootstrap over patients" not in html and "interval over patients" not in html
    assert "Masks are not samples." in html


def test_metrics_read_back_with_part_groups_and_cases(tmp_path: Path) -> None:
    measured = _measurement(SPEC)
    cases = report_cases(measured.outcome, ChosenRule(CaseRule(0.8, 2), "Chosen."), "test")
    write_page(tmp_path / "out", _artifact(tmp_path / "a", SPEC), replace(measured, cases=cases), "command")
    text = (tmp_path / "out" / "metrics.json").read_text(encoding="utf-8")
    expected = MeasurementDocument("test", GROUPED_BY, measured.evaluations, cases)
    assert from_dict(MeasurementDocument, json.loads(text)) == expected
    html = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert "Decisions on patients from their patches" in html and "Each dot is a patient" in html
