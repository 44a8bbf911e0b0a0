"""A page on which every section of a report stands, made by hand: no data, no network, no bootstrap."""

from dataclasses import replace

import cv2
import numpy as np

from edge_runtime.bundle.manifest import Evaluation, Figure, TrainingRecord
from edge_runtime.bundle.metrics import Calibration, ReliabilityBin, Subgroup
from edge_runtime.bundle.policy import CaseRule
from training.evaluation.case_report import CaseReport
from training.experiments.leak import LeakRow, LeakTable
from training.metrics.classwise import ClassFigures, Classwise
from training.metrics.evaluation import GAIN
from training.policy.cases import CaseEvaluation
from training.recipes.idc_patch import SPEC
from training.reporting.rendering import CaptionedImage
from training.reporting.report import Page

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
    copies="8 files of each image",
    rows=(LeakRow("at random", 900, 300, 55, 7, FIGURES), LeakRow("by patient", 905, 295, 0, 9, FIGURES[1:])),
    note="The original <drops> normals.",
    command="python -m training leak idc-patch --data DIR --out DIR",
    versions={"keras": "3.15.1", "numpy": "2.4.6"},
)
CASES = CaseReport(CaseEvaluation(CaseRule(0.9, 2), 12, 5, FIGURES[:2]), "Chosen on validation patients.")


def full_page() -> Page:
    """Return the page."""
    return Page(
        spec=replace(SPEC, policy=replace(SPEC.policy, temperature=1.37)),
        training=RECORD,
        evaluations=(NETWORK, BASELINE),
        classes=CLASSES,
        part="test",
        images=(CaptionedImage(GREY, "A grey image."), CaptionedImage(WHITE, 'A "white" one.')),
        command="python -m training evaluate x\n    --data DIR",
        grouped_by="women",
        notes=("masks are <not> samples", "Some images lie."),
        cases=CASES,
        case_images=(CaptionedImage(WHITE, "Dots."),),
        leak=LEAK,
    )
