"""The report's section on subgroups: what the data set says of its pictures, and how good the answers to each are."""

from __future__ import annotations

from edge_runtime.bundle.metrics import Evaluation
from training.metrics.subgroups import FEWEST
from training.reporting.markup import Cell, paragraph, table


def subgroups_section(evaluation: Evaluation, grouped_by: str) -> list[str]:
    """Return the section as pieces of HTML; nothing where the data set says nothing of its pictures.

    Args:
        grouped_by: what a bootstrap draws, in the plural.
    """
    if not evaluation.subgroups:
        return []
    names = list(dict.fromkeys(figure.name for found in evaluation.subgroups for figure in found.figures))
    rows: list[tuple[Cell, ...]] = []
    for found in evaluation.subgroups:
        figures = {figure.name: figure for figure in found.figures}
        counts = (str(found.images), str(found.groups), str(found.positives))
        rows.append((f"{found.trait}: {found.value}", *counts, *(figures.get(name) for name in names)))
    return [
        paragraph(
            "By subgroup, as the data set describes its pictures. A figure that needs both sides is missing where a "
            f"subgroup has one; of fewer than {FEWEST} {grouped_by} no interval is told."
        ),
        table(
            f"Subgroups of {evaluation.subject}, {evaluation.part}",
            ("subgroup", "pictures", grouped_by, "positive", *names),
            rows,
        ),
    ]
