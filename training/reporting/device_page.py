"""Report of a bundle measured on the device's runtime: metrics, decisions and reasons, change against Keras."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from edge_runtime.platform.atomic_files import write_whole
from training.evaluation.measure_bundle import BundleDocument, BundleMeasurement, to_json
from training.metrics.classwise import evaluate_classes
from training.reporting.page import outcome_images
from training.reporting.rendering import TEMPLATES, CaptionedImage, Table, render
from training.reporting.sections import ClassesSection, EvaluationSection
from training.reporting.tables import figure_table


@dataclass(frozen=True)
class DevicePage:
    """Content of the template ``templates/device.html.j2``.

    Attributes:
        refused: number of images that the runtime rejected.
        command: the command line that created the report.
    """

    document: BundleDocument
    refused: int
    by_class: ClassesSection
    images: tuple[CaptionedImage, ...]
    command: str

    @property
    def shares(self) -> Table:
        """Shares of decisions, of their reasons, and of reruns in float32."""
        return figure_table(self.document.shares, ("what", "share"))

    @property
    def changes(self) -> Table:
        """Figures of the bundle minus those of the Keras model."""
        return figure_table(self.document.changes, ("figure", "change"))

    @property
    def sections(self) -> list[EvaluationSection]:
        """The evaluation of the bundle, then of the Keras model where it was given."""
        return [EvaluationSection(evaluation, self.document.grouped_by) for evaluation in self.document.evaluations]


def write_device_page(folder: Path, measurement: BundleMeasurement, command: str) -> None:
    """Write ``metrics.json`` and ``report.html`` into ``folder``, replacing older ones."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "metrics.json").write_text(to_json(measurement) + "\n", encoding="utf-8")
    page = device_html(measurement, command)
    write_whole(folder / "report.html", page.encode("utf-8"))


def device_html(measurement: BundleMeasurement, command: str) -> str:
    """Return the page as HTML 5."""
    found, answers, outcome = measurement.document, measurement.answers, measurement.answers.outcome
    page = DevicePage(
        document=found,
        refused=len(answers.refused),
        by_class=ClassesSection(evaluate_classes(outcome), answers.spec),
        images=outcome_images(outcome, found.evaluations[0].confusion, found.grouped_by),
        command=command,
    )
    return render(TEMPLATES / "device.html.j2", page)
