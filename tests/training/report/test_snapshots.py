"""The reports of a measurement and of a bundle read as their snapshots: every heading, sentence, cell and image."""

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge_runtime.bundle.manifest import Evaluation, Figure, Precision, TrainingRecord
from edge_runtime.bundle.metrics import Calibration, ReliabilityBin, Subgroup
from edge_runtime.bundle.policy import CaseRule
from tests.page_text import is_as_before
from training.data.datasets import Dataset
from training.evaluation.case_report import CaseReport
from training.evaluation.device import DeviceAnswers
from training.evaluation.measure_bundle import BundleDocument, BundleMeasurement
from training.experiments.leak import LeakRow, LeakTable
from training.metrics.classwise import ClassFigures, Classwise
from training.metrics.evaluation import GAIN
from training.metrics.scored import Scored
from training.policy.cases import CaseEvaluation
from training.recipes.idc_patch import SPEC
from training.reporting import device_page
from training.reporting.markup import Picture
from training.reporting.report import Page, report_html

SNAPSHOTS = Path(__file__).parent / "snapshots"
GREY, WHITE = (cv2.imencode(".png", np.full((4, 6, 3), level, np.uint8))[1].tobytes() for level in (128, 255))
FIGURES = (Figure("accuracy", 0.88, 0.85, 0.91), Figure("recall", 0.6), Figure("f1", 0.71, 0.6, 0.8))
NETWORK = Evaluation(
    part="test",
    subject="keras",
    images=200,
    groups=12,
    positives=90,
    figures=(
        *FIGURES,
        Figure(GAIN, 0.05, 0.01, 0.09),
        Figure("coverage at confidence 0.8", 0.7, 0.6, 0.8),
        Figure("accuracy at confidence 0.8", 0.95, 0.9, 0.99),
        Figure("coverage at confidence 0.95", 0.0, 0.0, 0.0),
    ),
    confusion=((100, 10), (20, 70)),
    calibration=Calibration(Figure("expected calibration error", 0.03, 0.01, 0.05), (ReliabilityBin(0, 1, 1, 1, 2),)),
    subgroups=(
        Subgroup("tissue", "dense & <fatty>", 40, 20, 15, (Figure("auroc", 0.71, 0.6, 0.8), Figure("recall", 0.5))),
        Subgroup("tissue", "fatty", 4, 2, 0, (Figure("specificity", 0.75),)),
    ),
)
BASELINE = Evaluation("test", "baseline", 200, 12, 90, (Figure("accuracy", 0.7, 0.6, 0.8),), ((1, 2), (3, 4)))
CLASSES = Classwise(
    labels=(ClassFigures("benign", 110, FIGURES), ClassFigures("malignant", 90, FIGURES[:1])),
    sides=(ClassFigures("benign", 110, FIGURES[1:]), ClassFigures("malignant", 90, ())),
    figures=(Figure("sensitivity at specificity 0.9", 0.8, 0.7, 0.9), Figure("expected calibration error", 0.03)),
)
RECORD = TrainingRecord(
    recipe="idc-patch",
    dataset="Patches & slides",
    citation="A & B 2016",
    licence="CC0",
    research_only=True,
    split="by patient",
    images={"train": 900, "test": 200, "refused": 1},
    groups={"train": 50, "test": 12},
    epochs=9,
    versions={},
    claims=(Figure("accuracy", 0.889), Figure("recall of malignant", 0.9, 0.8, 0.95), Figure("never measured", 0.5)),
    caveat='The split was not by "patient".',
    policy="On validation patients; sensitivity .95.",
)
LEAK = LeakTable(
    recipe="idc-patch",
    claims=(Figure("recall", 0.902),),
    copies="8 files of each picture",
    rows=(LeakRow("at random", 900, 300, 55, 7, FIGURES), LeakRow("by patient", 905, 295, 0, 9, FIGURES[1:])),
    note="The original <drops> normals.",
    command="python -m training leak idc-patch --data DIR --out DIR",
    versions={"keras": "3.15.1", "numpy": "2.4.6"},
)
CASES = CaseReport(CaseEvaluation(CaseRule(0.9, 2), 12, 5, FIGURES[:2]), "Chosen on validation patients.")


def _page() -> Page:
    return Page(
        spec=replace(SPEC, policy=replace(SPEC.policy, temperature=1.37)),
        training=RECORD,
        evaluations=(NETWORK, BASELINE),
        classes=CLASSES,
        part="test",
        pictures=(Picture(GREY, "A grey image."), Picture(WHITE, 'A "white" one.')),
        command="python -m training evaluate x\n    --data DIR",
        grouped_by="women",
        notes=("masks are <not> samples", "Some images lie."),
        cases=CASES,
        case_pictures=(Picture(WHITE, "Dots."),),
        leak=LEAK,
    )


def _bare() -> Page:
    """As little as a measurement can give."""
    network = replace(NETWORK, figures=(Figure(GAIN, 0.0, -0.1, 0.1),), calibration=None, subgroups=())
    return replace(
        _page(),
        spec=SPEC,
        training=replace(RECORD, research_only=False, claims=(), caveat=""),
        evaluations=(network,),
        pictures=(),
        notes=(),
        cases=replace(CASES, evaluation=None),
        case_pictures=(),
        leak=None,
    )


def _measurement(changes: tuple[Figure, ...]) -> BundleMeasurement:
    answers = DeviceAnswers((), (), ("a.png: refused",), SPEC, Precision.INT8)
    rng = np.random.default_rng(0)
    vars(answers)["scored"] = Scored.of_logits(
        rng.normal(0, 2, (40, 2)), rng.integers(0, 2, 40), np.array([f"p{i % 4}" for i in range(40)]), SPEC
    )
    shares = (Figure("decided POSITIVE", 0.4, 0.3, 0.5), Figure("rerun in float32", 0.0, 0.0, 0.0))
    document = BundleDocument(
        *("test", "women", "some-model", "1.0.0", SPEC.contract, "litert", "int8"),
        evaluations=(replace(NETWORK, subject="model.int8.tflite on litert"), NETWORK),
        shares=shares,
        changes=changes,
    )
    return BundleMeasurement(document, answers, Dataset(Path("data"), SPEC.labels, (), grouped_by="women"))


@pytest.mark.parametrize(("name", "page"), [("measurement", _page()), ("measurement-bare", _bare())])
def test_the_report_of_a_measurement(name: str, page: Page) -> None:
    assert is_as_before(report_html(page), SNAPSHOTS / f"{name}.txt")


@pytest.mark.parametrize(
    ("name", "changes"), [("device", (Figure("auroc", -0.01, -0.02, 0.0),)), ("device-alone", ())], ids=str
)
def test_the_report_of_a_bundle_on_the_devices_runtime(
    name: str, changes: tuple[Figure, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(device_page, "evaluate_classes", lambda _: CLASSES)
    monkeypatch.setattr(device_page, "outcome_pictures", lambda *_: (Picture(GREY, "A grey image."),))
    html = device_page.device_html(_measurement(changes), "python -m training evaluate BUNDLE")
    assert is_as_before(html, SNAPSHOTS / f"{name}.txt")
