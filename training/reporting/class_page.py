"""The report's sections class by class: each label against the rest, two sides, operating point, calibration."""

from __future__ import annotations

from collections.abc import Iterable

from edge_runtime.bundle.spec import ModelSpec
from training.metrics.classwise import METRICS, ClassFigures, Classwise
from training.reporting.markup import Cell, heading, paragraph, table


def classes_section(found: Classwise, spec: ModelSpec, part: str, grouped_by: str) -> list[str]:
    """Return the sections as pieces of HTML.

    Args:
        grouped_by: what a bootstrap draws, in the plural.
    """
    negative = ", ".join(label for label in spec.labels if label not in spec.positive)
    positive = ", ".join(spec.positive)
    return [
        heading(f"Class by class, {part} {grouped_by}"),
        paragraph(
            "Each class against all others, by the label with the highest score; 95 % intervals by bootstrap over "
            f"{grouped_by}. An interval of width zero says that there are few pictures, not that the value is certain."
        ),
        _table("Each label against the rest", found.labels),
        heading(f"Collapsed to two sides, {part} {grouped_by}"),
        paragraph(
            f"By the cut-off {spec.policy.cutoff:g} on the positive score. Negative: {negative}. Positive: {positive}."
        ),
        _table("Negative against positive", found.sides),
        heading(f"Operating point and calibration, {part} {grouped_by}"),
        paragraph("The calibration error is biased upwards for few pictures; its interval stands below."),
        table("Operating point and calibration", ("figure", "value"), [(f.name, f) for f in found.figures]),
    ]


def _table(name: str, entries: Iterable[ClassFigures]) -> str:
    rows: list[tuple[Cell, ...]] = []
    for entry in entries:
        figures = {figure.name: figure for figure in entry.figures}
        rows.append((entry.label, *(figures.get(metric) for metric in METRICS), str(entry.support)))
    return table(name, ("class", *METRICS, "support"), rows)
