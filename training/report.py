"""One HTML page that says everything measured about a model: no script, no network, every figure computed.

Its order follows the model card (Mitchell et al. 2019, FAT* 2019): notice, data, claim, figures, pictures.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from html import escape
from pathlib import Path

from edge_runtime.manifest import Evaluation, TrainingRecord
from edge_runtime.spec import ModelSpec
from training.classwise import METRICS, ClassFigures, Classwise
from training.evaluation import GAIN
from training.markup import Cell, Picture, document, heading, paragraph, picture, table


@dataclass(frozen=True)
class Page:
    """What a report is made from.

    Attributes:
        training: the artifact's record of where the model comes from.
        evaluations: networks and baselines, in the order shown.
        part: the part whose figures are the result: the claim is held against it, and ``classes`` was measured on it.
        command: the command line that made the report.
    """

    spec: ModelSpec
    training: TrainingRecord
    evaluations: tuple[Evaluation, ...]
    classes: Classwise
    part: str
    pictures: tuple[Picture, ...]
    command: str


def write_report(path: Path, page: Page) -> None:
    """Write ``page`` as one self-contained HTML file, replacing an older one whole."""
    part = path.with_name(path.name + ".part")
    part.write_text(report_html(page), encoding="utf-8")
    part.replace(path)


def report_html(page: Page) -> str:
    """Return the page as HTML 5."""
    pieces = [*_head(page), *_data(page.training), *_claims(page), *_classes(page)]
    for evaluation in page.evaluations:
        pieces += _evaluation(evaluation)
    if page.pictures:
        pieces += [heading(f"Pictures, {page.part} patients"), *map(picture, page.pictures)]
    pieces += [heading("How this page was made"), f"<pre>{escape(page.command)}</pre>"]
    return document(f"{page.spec.name} {page.spec.version}", "\n".join(pieces))


def _head(page: Page) -> list[str]:
    spec = page.spec
    research = " Research use only: the data set's terms bind this model too." if page.training.research_only else ""
    return [
        f"<h1>{escape(spec.name)} {escape(spec.version)}</h1>",
        paragraph(spec.summary),
        paragraph(f"Decision support for trained people. Not a medical device; not for diagnosis.{research}", "notice"),
        paragraph(
            f"Positive: {', '.join(spec.positive)}, from a score of {spec.policy.cutoff:g}. Referred to a person "
            f"where no label reaches a confidence of {spec.policy.confidence_floor:g}. "
            f"Preprocessing contract {spec.contract}."
        ),
    ]


def _data(record: TrainingRecord) -> list[str]:
    groups = {part: str(count) for part, count in record.groups.items()}
    rows = [(part, groups.get(part), str(count)) for part, count in record.images.items()]
    return [
        heading("Data and split"),
        paragraph(f"{record.dataset}. {record.citation}. Licence: {record.licence}."),
        paragraph(f"Split {record.split}. Fitted for {record.epochs} epochs."),
        table("Patients and pictures", ("part", "patients", "pictures"), rows),
    ]


def _claims(page: Page) -> list[str]:
    measured = {f.name: f for e in _networks(page) if e.part == page.part for f in e.figures}
    for entry in (*page.classes.labels, *page.classes.sides):
        measured |= {f"{figure.name} of {entry.label}": figure for figure in entry.figures}
    rows = [(claim.name, claim, measured.get(claim.name)) for claim in page.training.claims]
    title, head = "Published claim, and what holds on patients never seen", ("figure", "published", "measured here")
    found = table(title, head, rows) if rows else paragraph("None published.")
    return [heading(title), found, paragraph(page.training.caveat)]


def _classes(page: Page) -> list[str]:
    spec, found = page.spec, page.classes
    negative = ", ".join(label for label in spec.labels if label not in spec.positive)
    positive = ", ".join(spec.positive)
    return [
        heading(f"Class by class, {page.part} patients"),
        paragraph(
            "Each class against all others, by the label with the highest score; 95 % intervals by bootstrap over "
            "patients. An interval of width zero says that there are few pictures, not that the value is certain."
        ),
        _class_table("Each label against the rest", found.labels),
        heading(f"Collapsed to two sides, {page.part} patients"),
        paragraph(
            f"By the cut-off {spec.policy.cutoff:g} on the positive score. Negative: {negative}. Positive: {positive}."
        ),
        _class_table("Negative against positive", found.sides),
        heading(f"Operating point and calibration, {page.part} patients"),
        paragraph("The calibration error is biased upwards for few pictures, and has no interval for that reason."),
        table("Operating point and calibration", ("figure", "value"), [(f.name, f) for f in found.figures]),
    ]


def _class_table(name: str, entries: Iterable[ClassFigures]) -> str:
    rows: list[tuple[Cell, ...]] = []
    for entry in entries:
        figures = {figure.name: figure for figure in entry.figures}
        rows.append((entry.label, *(figures.get(metric) for metric in METRICS), str(entry.support)))
    return table(name, ("class", *METRICS, "support"), rows)


def _evaluation(evaluation: Evaluation) -> list[str]:
    subject = "Baseline: six colour numbers" if evaluation.subject == "baseline" else f"Measured, {evaluation.subject}"
    figures = [f for f in evaluation.figures if " at confidence " not in f.name]
    return [
        heading(f"{subject}, {evaluation.part} patients"),
        paragraph(
            f"{evaluation.images} pictures of {evaluation.groups} patients, {evaluation.positives} positive; "
            "95 % intervals by bootstrap over patients."
        ),
        table(f"{subject}, {evaluation.part}", ("figure", "value"), [(f.name, f) for f in figures]),
        *_gain(evaluation),
        *_coverage(evaluation),
    ]


def _gain(evaluation: Evaluation) -> list[str]:
    gain = next((f for f in evaluation.figures if f.name == GAIN), None)
    if gain is None:
        return []
    if gain.low is not None and gain.low > 0:
        return [paragraph("The network beats a logistic regression on six colour numbers (the baseline below).")]
    return [
        paragraph(
            "The network does not surely beat a logistic regression on six colour numbers (the baseline below): there "
            "is no proof that it learned more than colour."
        )
    ]


def _coverage(evaluation: Evaluation) -> list[str]:
    figures = {figure.name: figure for figure in evaluation.figures}
    columns, prefix = ("coverage", "accuracy", "precision", "recall"), "coverage at confidence "
    floors = [name.rsplit(" ", 1)[1] for name in figures if name.startswith(prefix)]
    rows = [(f"≥ {c}", *(figures.get(f"{name} at confidence {c}") for name in columns)) for c in floors]
    if not rows:
        return []
    return [
        paragraph(
            "How much is answered when a confidence is asked for, and how well; at a coverage of a few percent an "
            "interval of width zero says that few pictures are left."
        ),
        table(f"Coverage of {evaluation.subject}, {evaluation.part} patients", ("confidence", *columns), rows),
    ]


def _networks(page: Page) -> list[Evaluation]:
    return [evaluation for evaluation in page.evaluations if evaluation.subject != "baseline"]
