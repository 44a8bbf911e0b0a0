"""One HTML page that says everything measured about a model: no script, no network, every figure computed.

Its order follows the model card (Mitchell et al. 2019, FAT* 2019): notice, data, claim, figures, pictures.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from edge_runtime.bundle.manifest import Evaluation, TrainingRecord
from edge_runtime.bundle.spec import ModelSpec
from edge_runtime.platform.atomic_files import write_whole
from training.evaluation.case_report import CaseReport
from training.metrics.classwise import Classwise, side_names
from training.metrics.evaluation import GAIN
from training.reporting.case_page import case_section
from training.reporting.class_page import classes_section
from training.reporting.leak_page import leak_section
from training.reporting.markup import Picture, document, heading, paragraph, picture, table, title, verbatim
from training.reporting.subgroup_page import subgroups_section

if TYPE_CHECKING:
    from training.experiments.leak import LeakTable


@dataclass(frozen=True)
class Page:
    """What a report is made from.

    Attributes:
        training: the artifact's record of where the model comes from.
        evaluations: networks and baselines, in the order shown.
        part: the part whose figures are the result: the claim is held against it, and ``classes`` was measured on it.
        command: the command line that made the report.
        grouped_by: what a split keeps together and a bootstrap draws, in the plural.
        notes: what whoever uses the data set must know, a sentence each.
        cases: patients judged from their patches; None where the recipe judges single pictures.
        case_pictures: pictures of patients.
        leak: what the original program's split is worth; None where that was not measured.
    """

    spec: ModelSpec
    training: TrainingRecord
    evaluations: tuple[Evaluation, ...]
    classes: Classwise
    part: str
    pictures: tuple[Picture, ...]
    command: str
    grouped_by: str = "patients"
    notes: tuple[str, ...] = ()
    cases: CaseReport | None = None
    case_pictures: tuple[Picture, ...] = ()
    leak: LeakTable | None = None


def write_report(path: Path, page: Page) -> None:
    """Write ``page`` as one self-contained HTML file, replacing an older one whole."""
    write_whole(path, lambda part: part.write_text(report_html(page), encoding="utf-8"))


def report_html(page: Page) -> str:
    """Return the page as HTML 5."""
    pieces = [*_head(page), *_data(page), *_claims(page), *leak_section(page.leak, page.grouped_by)]
    pieces += classes_section(page.classes, page.spec, page.part, page.grouped_by)
    pieces += case_section(page.cases, page.case_pictures, page.part, side_names(page.spec)[1])
    for evaluation in page.evaluations:
        pieces += evaluation_section(evaluation, page.grouped_by)
    if page.pictures:
        pieces += [heading(f"Pictures, {page.part} {page.grouped_by}"), *map(picture, page.pictures)]
    pieces += [heading("How this page was made"), verbatim(page.command)]
    return document(f"{page.spec.name} {page.spec.version}", "\n".join(pieces))


def _head(page: Page) -> list[str]:
    spec, policy = page.spec, page.spec.policy
    research = " Research use only: the data set's terms bind this model too." if page.training.research_only else ""
    divided = "as the network gives them" if policy.temperature == 1 else "divided by it before any score"
    return [
        title(f"{spec.name} {spec.version}"),
        paragraph(spec.summary),
        paragraph(f"Decision support for trained people. Not a medical device; not for diagnosis.{research}", "notice"),
        paragraph(
            f"Positive: {', '.join(spec.positive)}, from a score of {policy.cutoff:g}. Referred to a person "
            f"where no label reaches a confidence of {policy.confidence_floor:g}. "
            f"Temperature {policy.temperature:.4g}: logits are {divided}. Preprocessing contract {spec.contract}."
        ),
        paragraph(f"How these thresholds were chosen: {page.training.policy.rstrip('.')}."),
    ]


def _data(page: Page) -> list[str]:
    record = page.training
    groups = {part: str(count) for part, count in record.groups.items()}
    rows = [(part, groups.get(part), str(count)) for part, count in record.images.items()]
    return [
        heading("Data and split"),
        paragraph(f"{record.dataset}. {record.citation}. Licence: {record.licence}."),
        paragraph(f"Split {record.split}. Fitted for {record.epochs} epochs."),
        table("Groups and pictures", ("part", page.grouped_by, "pictures"), rows),
        *(paragraph(f"{note[:1].upper()}{note[1:].rstrip('.')}.") for note in page.notes),
    ]


def _claims(page: Page) -> list[str]:
    measured = {f.name: f for e in _networks(page) if e.part == page.part for f in e.figures}
    for entry in (*page.classes.labels, *page.classes.sides):
        measured |= {f"{figure.name} of {entry.label}": figure for figure in entry.figures}
    rows = [(claim.name, claim, measured.get(claim.name)) for claim in page.training.claims]
    title, head = "Published claim, and what holds on patients never seen", ("figure", "published", "measured here")
    found = table(title, head, rows) if rows else paragraph("None published.")
    return [heading(title), found, paragraph(page.training.caveat)]


def evaluation_section(evaluation: Evaluation, grouped_by: str) -> list[str]:
    """Return one evaluation as pieces of HTML: figures, gain, coverage, subgroups.

    Args:
        grouped_by: what a bootstrap draws, in the plural.
    """
    error = () if evaluation.calibration is None else (evaluation.calibration.error,)
    subject = "Baseline: six colour numbers" if evaluation.subject == "baseline" else f"Measured, {evaluation.subject}"
    figures = [f for f in (*evaluation.figures, *error) if " at confidence " not in f.name]
    return [
        heading(f"{subject}, {evaluation.part} {grouped_by}"),
        paragraph(
            f"{evaluation.images} pictures of {evaluation.groups} {grouped_by}, {evaluation.positives} positive; "
            f"95 % intervals by bootstrap over {grouped_by}."
        ),
        table(f"{subject}, {evaluation.part}", ("figure", "value"), [(f.name, f) for f in figures]),
        *_gain(evaluation),
        *_coverage(evaluation),
        *subgroups_section(evaluation, grouped_by),
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
        table(f"Coverage of {evaluation.subject}, {evaluation.part}", ("confidence", *columns), rows),
    ]


def _networks(page: Page) -> list[Evaluation]:
    return [evaluation for evaluation in page.evaluations if evaluation.subject != "baseline"]
