"""The report of one measurement: its figures, its pictures, and the command that made it."""

from __future__ import annotations

import csv
from pathlib import Path

from training.artifact import Artifact
from training.classwise import Outcome, evaluate_classes
from training.figures import (
    confusion_picture,
    coverage_picture,
    history_picture,
    precision_recall_picture,
    reliability_picture,
    roc_picture,
    score_picture,
)
from training.markup import Picture
from training.measure import Measurement, to_json
from training.report import Page, write_report


def write_page(folder: Path, artifact: Artifact, measurement: Measurement, command: str) -> None:
    """Write ``metrics.json`` and ``report.html`` into ``folder``, replacing older ones."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "metrics.json").write_text(to_json(measurement.evaluations) + "\n", encoding="utf-8")
    page = Page(
        spec=artifact.spec(),
        training=artifact.measured().training,
        evaluations=measurement.evaluations,
        classes=evaluate_classes(measurement.outcome),
        part=measurement.part,
        pictures=_pictures(artifact, measurement),
        command=command,
    )
    write_report(folder / "report.html", page)


def _pictures(artifact: Artifact, measurement: Measurement) -> tuple[Picture, ...]:
    outcome = measurement.outcome
    table = measurement.evaluations[0].confusion
    drawn = [Picture(confusion_picture(table, outcome.spec.labels), "Rows are the truth, columns the answer.")]
    if outcome.truth.any() and not outcome.truth.all():
        drawn += _curves(outcome)
    drawn += [
        Picture(reliability_picture(outcome), "How often an answer of that confidence is right."),
        Picture(coverage_picture(outcome), "How much is answered at a confidence, and how well."),
        Picture(score_picture(outcome), "Positive scores by truth; the line is the cut-off."),
        Picture(history_picture(_history(artifact)), "Fitting, epoch by epoch."),
    ]
    return tuple(drawn)


def _curves(outcome: Outcome) -> list[Picture]:
    return [
        Picture(
            roc_picture(outcome), "Receiver operating characteristic; the band is the 95 % interval over patients."
        ),
        Picture(
            precision_recall_picture(outcome), "Precision and recall; the band is the 95 % interval over patients."
        ),
    ]


def _history(artifact: Artifact) -> dict[str, list[float]]:
    """Return the columns of ``history.csv``."""
    with artifact.history_path.open(encoding="utf-8", newline="") as lines:
        rows = list(csv.DictReader(lines))
    return {name: [float(row[name]) for row in rows] for name in rows[0]}
