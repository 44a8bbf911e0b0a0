"""The HTML report of a model with all its metrics; the page uses no script and no network.

The order follows the model card (Mitchell et al. 2019, FAT* 2019): notice, data, claim, figures, images.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from edge_runtime.bundle.manifest import Evaluation, TrainingRecord
from edge_runtime.bundle.spec import ModelSpec
from edge_runtime.platform.atomic_files import write_whole
from training.evaluation.case_report import CaseReport, rule_text
from training.metrics.classwise import Classwise, side_names
from training.reporting.rendering import TEMPLATES, CaptionedImage, Table, render
from training.reporting.sections import ClassesSection, EvaluationSection
from training.reporting.tables import figure_table, part_table

if TYPE_CHECKING:
    from training.experiments.leak import LeakTable


@dataclass(frozen=True)
class Page:
    """Content of a report, with the tables that ``templates/measurement.html.j2`` shows.

    Attributes:
        training: the artifact's record of the origin of the model.
        evaluations: of networks and baselines, in the order shown.
        part: the part whose figures are the result. They are compared with the claim; ``classes`` is of this part.
        command: the command line that created the report.
        grouped_by: name of the groups that a split keeps together and a bootstrap draws, in the plural.
        notes: notes for users of the data set, one sentence each.
        cases: decisions on patients from their patches; None where the recipe decides single images only.
        case_images: images of patients.
        leak: effect of the original program's split on the figures; None where it was not measured.
    """

    spec: ModelSpec
    training: TrainingRecord
    evaluations: tuple[Evaluation, ...]
    classes: Classwise
    part: str
    images: tuple[CaptionedImage, ...]
    command: str
    grouped_by: str = "patients"
    notes: tuple[str, ...] = ()
    cases: CaseReport | None = None
    case_images: tuple[CaptionedImage, ...] = ()
    leak: LeakTable | None = None

    @property
    def parts(self) -> Table:
        """Groups and images in each part of the split."""
        return part_table(self.training, self.training.images, self.grouped_by)

    @property
    def claims(self) -> Table:
        """Figures that the authors published, beside those measured on the part."""
        networks = [e for e in self.evaluations if e.subject != "baseline" and e.part == self.part]
        measured = {figure.name: figure for evaluation in networks for figure in evaluation.figures}
        for entry in (*self.classes.labels, *self.classes.sides):
            measured |= {f"{figure.name} of {entry.label}": figure for figure in entry.figures}
        rows = ((claim.name, claim, measured.get(claim.name)) for claim in self.training.claims)
        return Table(("figure", "published", "measured here"), tuple(rows))

    @property
    def leak_figures(self) -> Table:
        """A row for each figure: published figures first, in the authors' order, then the other measured ones."""
        if self.leak is None:
            return Table((), ())
        claims = {figure.name: figure for figure in self.leak.claims}
        fits = [{figure.name: figure for figure in row.figures} for row in self.leak.rows]
        names = dict.fromkeys([*claims, *(name for fit in fits for name in fit)])
        head = ("figure", "published claim", *(f"same network, {row.split}" for row in self.leak.rows))
        return Table(head, tuple((name, claims.get(name), *(fit.get(name) for fit in fits)) for name in names))

    @property
    def leak_files(self) -> Table:
        """Number of files, shared groups and epochs of both fits."""
        head = ("split", "files fitted on", "files tested", f"{self.grouped_by} on both sides", "epochs")
        rows = () if self.leak is None else self.leak.rows
        counts = ((row.train_images, row.test_images, row.shared_groups, row.epochs) for row in rows)
        return Table(head, tuple((row.split, *map(str, found)) for row, found in zip(rows, counts, strict=True)))

    @property
    def by_class(self) -> ClassesSection:
        """Metrics of each class."""
        return ClassesSection(self.classes, self.spec)

    @property
    def case_rule(self) -> str:
        """The case rule in words; empty where there is none."""
        found = None if self.cases is None else self.cases.evaluation
        return "" if found is None else rule_text(found.rule, side_names(self.spec)[1])

    @property
    def case_figures(self) -> Table:
        """Metrics of the case rule."""
        found = None if self.cases is None else self.cases.evaluation
        return figure_table(() if found is None else found.figures)

    @property
    def sections(self) -> list[EvaluationSection]:
        """The evaluations, in the order shown."""
        return [EvaluationSection(evaluation, self.grouped_by) for evaluation in self.evaluations]


def write_report(path: Path, page: Page) -> None:
    """Write ``page`` as one self-contained HTML file; an existing file is replaced atomically."""
    write_whole(path, report_html(page).encode("utf-8"))


def report_html(page: Page) -> str:
    """Return the page as HTML 5."""
    return render(TEMPLATES / "measurement.html.j2", page)
