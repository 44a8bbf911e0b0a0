"""The reports of a measurement and of a bundle read as their snapshots: every heading, sentence, cell and image."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from edge_runtime.bundle.manifest import Figure, Precision
from tests.integration.training.reporting.pages import CASES, CLASSES, GREY, NETWORK, RECORD, full_page
from tests.page_text import is_as_before
from training.data.datasets import Dataset
from training.evaluation.device import DeviceOutputs
from training.evaluation.measure_bundle import BundleDocument, BundleMeasurement
from training.metrics.evaluation import GAIN
from training.metrics.scored import Scored
from training.recipes.idc_patch import SPEC
from training.reporting import device_page
from training.reporting.rendering import CaptionedImage
from training.reporting.report import Page, report_html

SNAPSHOTS = Path(__file__).parent / "snapshots"


def _bare() -> Page:
    """As little as a measurement can give."""
    network = replace(NETWORK, figures=(Figure(GAIN, 0.0, -0.1, 0.1),), calibration=None, subgroups=())
    return replace(
        full_page(),
        spec=SPEC,
        training=replace(RECORD, research_only=False, claims=(), caveat=""),
        evaluations=(network,),
        images=(),
        notes=(),
        cases=replace(CASES, evaluation=None),
        case_images=(),
        leak=None,
    )


def _measurement(changes: tuple[Figure, ...]) -> BundleMeasurement:
    answers = DeviceOutputs((), (), ("a.png: refused",), SPEC, Precision.INT8)
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


@pytest.mark.parametrize(("name", "page"), [("measurement", full_page()), ("measurement-bare", _bare())])
def test_the_report_of_a_measurement(name: str, page: Page) -> None:
    assert is_as_before(report_html(page), SNAPSHOTS / f"{name}.txt")


@pytest.mark.parametrize(
    ("name", "changes"), [("device", (Figure("auroc", -0.01, -0.02, 0.0),)), ("device-alone", ())], ids=str
)
def test_the_report_of_a_bundle_on_the_devices_runtime(
    name: str, changes: tuple[Figure, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(device_page, "evaluate_classes", lambda _: CLASSES)
    monkeypatch.setattr(device_page, "outcome_images", lambda *_: (CaptionedImage(GREY, "A grey image."),))
    html = device_page.device_html(_measurement(changes), "python -m training evaluate BUNDLE")
    assert is_as_before(html, SNAPSHOTS / f"{name}.txt")
