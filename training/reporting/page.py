"""Writes the report of one measurement: metrics, images, and the command that created it."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

from training.artifact import Artifact
from training.evaluation.measure import Measurement, to_json
from training.metrics.classwise import ClassOutcomes, evaluate_classes, side_names
from training.policy.cases import patch_counts
from training.reporting.case_figure import case_image
from training.reporting.figures import (
    confusion_image,
    coverage_image,
    history_image,
    precision_recall_image,
    reliability_image,
    roc_image,
    score_image,
)
from training.reporting.patient import largest_slide
from training.reporting.rendering import CaptionedImage
from training.reporting.report import Page, write_report


def write_page(folder: Path, artifact: Artifact, measurement: Measurement, command: str) -> None:
    """Write ``metrics.json`` and ``report.html`` into ``folder``, replacing older ones.

    Where the names of patches contain their place on a slide, ``slide.png`` shows the patient with the most patches.
    """
    from training.experiments.leak import find_leak  # imported here because it imports the modules for fitting

    folder.mkdir(parents=True, exist_ok=True)
    (folder / "metrics.json").write_text(to_json(measurement) + "\n", encoding="utf-8")
    spec, dataset = artifact.spec(), measurement.dataset
    page = Page(
        spec=spec,
        training=artifact.measured().training,
        evaluations=measurement.evaluations,
        classes=evaluate_classes(measurement.outcome),
        part=measurement.part,
        images=_images(artifact, measurement),
        command=command,
        grouped_by=dataset.grouped_by,
        notes=dataset.notes,
        cases=measurement.cases,
        case_images=(*_dots(measurement), *_slide(folder, measurement)),
        leak=find_leak(spec.name),
    )
    write_report(folder / "report.html", page)


def _dots(measurement: Measurement) -> list[CaptionedImage]:
    cases, outcome = measurement.cases, measurement.outcome
    if cases is None or cases.evaluation is None:
        return []
    rule = cases.evaluation.rule
    drawn = case_image(patch_counts(outcome, rule.confidence), rule, side_names(outcome.spec))
    return [
        CaptionedImage(
            drawn,
            "Each dot is a patient. The rule decides POSITIVE right of the dashed line. Hollow dots: too few patches "
            "were answered with that confidence, so the patient is referred to a person.",
        )
    ]


def _slide(folder: Path, measurement: Measurement) -> list[CaptionedImage]:
    found = largest_slide(measurement.samples, measurement.outcome)
    if found is None:
        return []
    patient, drawn = found
    (folder / "slide.png").write_bytes(drawn)
    patches = int((measurement.outcome.groups == patient).sum())
    part = "of all in the data" if measurement.part == "all" else f"of the {measurement.part} part"
    caption = (
        f"Patient {patient}, who has the most patches {part}: the slide assembled from {patches} patches, beside the "
        "map of their positive scores. White on the slide and light grey on the map: no patch."
    )
    return [CaptionedImage(drawn, caption)]


def _images(artifact: Artifact, measurement: Measurement) -> tuple[CaptionedImage, ...]:
    outcome, table = measurement.outcome, measurement.evaluations[0].confusion
    fitting = CaptionedImage(history_image(_history(artifact)), "Fitting, epoch by epoch.")
    return (*outcome_images(outcome, table, measurement.dataset.grouped_by), fitting)


def outcome_images(
    outcome: ClassOutcomes, table: Sequence[Sequence[int]], grouped_by: str
) -> tuple[CaptionedImage, ...]:
    """Draw the images of an outcome: confusion matrix, curves, reliability, coverage and scores.

    Args:
        table: the confusion matrix; rows are the truth.
        grouped_by: name of the groups that a bootstrap draws, in the plural.
    """
    drawn = [CaptionedImage(confusion_image(table, outcome.spec.labels), "Rows are the truth, columns the prediction.")]
    if outcome.truth.any() and not outcome.truth.all():
        drawn += _curves(outcome, grouped_by)
    drawn += [
        CaptionedImage(reliability_image(outcome), "Reliability: share of correct predictions by confidence."),
        CaptionedImage(coverage_image(outcome), "Share of images answered at each confidence, and their accuracy."),
        CaptionedImage(score_image(outcome), "Positive scores by truth; the line is the cut-off."),
    ]
    return tuple(drawn)


def _curves(outcome: ClassOutcomes, grouped_by: str) -> list[CaptionedImage]:
    band = f"the band is the 95 % interval over {grouped_by}."
    return [
        CaptionedImage(roc_image(outcome), f"Receiver operating characteristic; {band}"),
        CaptionedImage(precision_recall_image(outcome), f"Precision and recall; {band}"),
    ]


def _history(artifact: Artifact) -> dict[str, list[float]]:
    """Return the columns of ``history.csv``."""
    with artifact.history_path.open(encoding="utf-8", newline="") as lines:
        rows = list(csv.DictReader(lines))
    return {name: [float(row[name]) for row in rows] for name in rows[0]}
