"""Tables of figures, for the reports of a measurement and for the model card."""

from __future__ import annotations

from collections.abc import Iterable

from edge_runtime.bundle.manifest import Evaluation, Figure, TrainingRecord
from edge_runtime.bundle.metrics import SiteFigures
from training.metrics.classwise import METRICS, ClassFigures
from training.reporting.rendering import Cell, Table

_BY_SITE = ("auroc", "sensitivity", "specificity")
_COVERAGE = ("coverage", "accuracy", "precision", "recall")


def figure_table(figures: Iterable[Figure], head: tuple[str, str] = ("figure", "value")) -> Table:
    """Return a table with a row for each figure."""
    return Table(head, tuple((figure.name, figure) for figure in figures))


def subgroup_table(evaluation: Evaluation, grouped_by: str, images: str = "images") -> Table:
    """Return a table with a row for each subgroup; ``images`` and ``grouped_by`` are names of columns.

    A figure that needs both positive and negative images is missing where a subgroup has only one class.
    """
    names = tuple(dict.fromkeys(figure.name for found in evaluation.subgroups for figure in found.figures))
    rows: list[tuple[Cell, ...]] = []
    for found in evaluation.subgroups:
        figures = {figure.name: figure for figure in found.figures}
        counts = (str(found.images), str(found.groups), str(found.positives))
        rows.append((f"{found.trait}: {found.value}", *counts, *map(figures.get, names)))
    return Table(("subgroup", images, grouped_by, "positive", *names), tuple(rows))


def site_table(sites: Iterable[SiteFigures], grouped_by: str) -> Table:
    """Return a table with a row for each site or scanner; the shift has a column if any row has one."""
    rows: list[tuple[Cell, ...]] = []
    found = tuple(sites)
    shifted = any(each.shift is not None for each in found)
    for each in found:
        figures = {figure.name: figure for figure in each.figures}
        counts = (str(each.images), str(each.groups), str(each.positives))
        cutoff = None if each.cutoff is None else f"{each.cutoff:.3f}"
        cells = (*map(figures.get, _BY_SITE), cutoff, *((each.shift,) if shifted else ()))
        rows.append((f"{each.trait}: {each.value}", *counts, *cells))
    head = ("site or scanner", "images", grouped_by, "positive", *_BY_SITE, "cut-off")
    return Table((*head, *(("shift of auroc",) if shifted else ())), tuple(rows))


def coverage_table(evaluation: Evaluation, title: str = "confidence", mark: str = "≥ ") -> Table:
    """Return a table with a row for each confidence: the share of images answered, and the metrics on them.

    Args:
        title: name of the first column.
        mark: text before each confidence.
    """
    figures, prefix = {figure.name: figure for figure in evaluation.figures}, "coverage at confidence "
    floors = [name.removeprefix(prefix) for name in figures if name.startswith(prefix)]
    rows = (
        (f"{mark}{floor}", *(figures.get(f"{name} at confidence {floor}") for name in _COVERAGE)) for floor in floors
    )
    return Table((title, *_COVERAGE), tuple(rows))


def class_table(entries: Iterable[ClassFigures]) -> Table:
    """Return a table with a row for each class, with its support."""
    rows: list[tuple[Cell, ...]] = []
    for entry in entries:
        figures = {figure.name: figure for figure in entry.figures}
        rows.append((entry.label, *map(figures.get, METRICS), str(entry.support)))
    return Table(("class", *METRICS, "support"), tuple(rows))


def part_table(
    record: TrainingRecord, parts: Iterable[str], grouped_by: str, images: str = "images", unknown: str | None = None
) -> Table:
    """Return a table with a row for each part of the split that contains images.

    Args:
        grouped_by, images: names of columns.
        unknown: cell where groups were not counted; None is shown as a dash.
    """
    groups = {part: str(count) for part, count in record.groups.items()}
    rows = ((part, groups.get(part, unknown), str(record.images[part])) for part in parts if part in record.images)
    return Table(("part", grouped_by, images), tuple(rows))
