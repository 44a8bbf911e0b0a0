"""The report of a bundle measured on the device's runtime: figures, decisions and reasons, change against Keras."""

from __future__ import annotations

from pathlib import Path

from edge_runtime.platform.atomic_files import write_whole
from training.evaluation.measure_bundle import BundleMeasurement, to_json
from training.metrics.classwise import evaluate_classes
from training.reporting.class_page import classes_section
from training.reporting.markup import document, heading, paragraph, picture, table, title, verbatim
from training.reporting.page import outcome_pictures
from training.reporting.report import evaluation_section

_NOTICE = "Decision support for trained people. Not a medical device; not for diagnosis."


def write_device_page(folder: Path, measurement: BundleMeasurement, command: str) -> None:
    """Write ``metrics.json`` and ``report.html`` into ``folder``, replacing older ones."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "metrics.json").write_text(to_json(measurement) + "\n", encoding="utf-8")
    page = device_html(measurement, command)
    write_whole(folder / "report.html", lambda part: part.write_text(page, encoding="utf-8"))


def device_html(measurement: BundleMeasurement, command: str) -> str:
    """Return the page as HTML 5."""
    found, answers, grouped_by = measurement.document, measurement.answers, measurement.dataset.grouped_by
    outcome = answers.outcome
    shown = outcome_pictures(outcome, found.evaluations[0].confusion, grouped_by)
    pieces = [
        title(f"{found.model} {found.version}, {found.precision} on {found.backend}"),
        paragraph(_NOTICE, "notice"),
        paragraph(
            f"Answered by the runtime that devices use: {found.precision} first, float32 near a threshold. "
            f"Preprocessing contract {found.contract}. {len(answers.refused)} pictures were refused."
        ),
        *_decisions(measurement),
        *_changes(measurement),
        *classes_section(evaluate_classes(outcome), answers.spec, found.part, grouped_by),
        *(piece for evaluation in found.evaluations for piece in evaluation_section(evaluation, grouped_by)),
        heading(f"Pictures, {found.part} {grouped_by}"),
        *map(picture, shown),
        heading("How this page was made"),
        verbatim(command),
    ]
    return document(f"{found.model} {found.version}: on the device's runtime", "\n".join(pieces))


def _decisions(measurement: BundleMeasurement) -> list[str]:
    found = measurement.document
    return [
        heading("Decisions and their reasons"),
        paragraph("Shares of all pictures, each with its 95 % interval. A decision has one reason."),
        table("Decisions and reasons", ("what", "share"), [(figure.name, figure) for figure in found.shares]),
    ]


def _changes(measurement: BundleMeasurement) -> list[str]:
    found = measurement.document
    if not found.changes:
        return []
    return [
        heading("Change against the Keras model"),
        paragraph("Figures of the bundle less those of the Keras model, paired: both on the same draws."),
        table("Change against Keras", ("figure", "change"), [(figure.name, figure) for figure in found.changes]),
    ]
