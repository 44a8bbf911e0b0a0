"""Figures as text tables."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from edge_runtime.bundle.metrics import Evaluation, Figure, SiteFigures, Subgroup

if TYPE_CHECKING:
    from training.experiments.leak import LeakTable


def table_of(evaluation: Evaluation, groups: str = "patients") -> str:
    """Return one evaluation as lines, one figure with its interval per line.

    Args:
        groups: plural name of the groups that the bootstrap draws.
    """
    head = (
        f"{evaluation.subject} on {evaluation.part}: {evaluation.images} images of {evaluation.groups} {groups}, "
        f"{evaluation.positives} positive; 95 % intervals by bootstrap over {groups}"
    )
    error = () if evaluation.calibration is None else (evaluation.calibration.error,)
    rows = [*(figure_row(figure) for figure in (*evaluation.figures, *error)), *map(_subgroup, evaluation.subgroups)]
    return "\n".join([head, *rows])


def _subgroup(found: Subgroup) -> str:
    figures = ", ".join(f"{figure.name} {figure.text()}" for figure in found.figures)
    return f"  {found.trait}: {found.value} ({found.images} images of {found.groups}): {figures or 'none defined'}"


def site_table(sites: Sequence[SiteFigures]) -> str:
    """Return figures by site and scanner as lines: never-seen ones first, then held-out patients of known sites."""
    lines = []
    for never_seen in (True, False):
        rows = [found for found in sites if found.never_seen is never_seen]
        if rows:
            kind = "never seen (fitted without it)" if never_seen else "in-site (held-out patients)"
            lines += [f"by {' and '.join(dict.fromkeys(found.trait for found in rows))}, {kind}", *map(_site, rows)]
    return "\n".join(lines)


def _site(found: SiteFigures) -> str:
    figures = [f"{figure.name} {figure.text()}" for figure in found.figures]
    if found.cutoff is not None:
        figures.append(f"cut-off {found.cutoff:.3g}")
    if not {"auroc", "sensitivity", "specificity"} <= {figure.name for figure in found.figures}:
        figures.append(_undefined(found))
    if found.shift is not None:
        figures.append(f"{found.shift.name} {found.shift.text()}")
    counts = f"{found.images} images of {found.groups}, {found.positives} positive"
    return f"  {found.trait}: {found.value} ({counts}): {', '.join(figures)}"


def _undefined(found: SiteFigures) -> str:
    """Return why figures are missing."""
    if found.positives in (0, found.images):
        return f"other figures are not defined: all images are {'positive' if found.positives else 'negative'}"
    return "no sensitivity or specificity: the validation patients allow no cut-off"


def leak_table(table: LeakTable) -> str:
    """Return a leak table as lines: the published claim, then each fit."""
    lines = [f"{table.recipe}: {table.copies}", "published claim", *(figure_row(claim) for claim in table.claims)]
    for row in table.rows:
        lines.append(
            f"{row.split}: {row.train_images} files fitted on, {row.test_images} tested, {row.shared_groups} patients "
            f"on both sides, {row.epochs} epochs; 95 % intervals by bootstrap over patients"
        )
        lines += [figure_row(figure) for figure in row.figures]
    return "\n".join(lines)


def figure_row(figure: Figure) -> str:
    """Return one figure with its interval, indented."""
    return f"  {figure.name:36} {figure.text()}"
