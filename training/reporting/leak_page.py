"""The report's section on the leak: the claim, and one network fitted on both ways to split the data."""

from __future__ import annotations

from typing import TYPE_CHECKING

from training.reporting.markup import Cell, heading, paragraph, table, verbatim

if TYPE_CHECKING:
    from training.experiments.leak import LeakTable

TITLE = "The leak, measured"


def leak_section(leak: LeakTable | None, grouped_by: str) -> list[str]:
    """Return the section as pieces of HTML; nothing where no leak was measured.

    Args:
        grouped_by: what a split keeps together, in the plural.
    """
    if leak is None:
        return []
    head = ("figure", "published claim", *(f"same network, {row.split}" for row in leak.rows))
    return [
        heading(TITLE),
        paragraph(
            "What the original program's split is worth. The same network was fitted on the same files, dealt in two "
            f"ways; the original program's files: {leak.copies}."
        ),
        table(TITLE, head, _rows(leak)),
        table(
            "How the files were dealt",
            ("split", "files fitted on", "files tested", shared(grouped_by), "epochs"),
            (
                (row.split, str(row.train_images), str(row.test_images), str(row.shared_groups), str(row.epochs))
                for row in leak.rows
            ),
        ),
        paragraph(f"95 % intervals by bootstrap over {grouped_by}. {leak.note}"),
        verbatim(leak.command),
        paragraph("Fitted with " + ", ".join(f"{name} {version}" for name, version in leak.versions.items()) + "."),
    ]


def shared(grouped_by: str) -> str:
    """Return the title of the column that counts what a leak has on both sides."""
    return f"{grouped_by} on both sides"


def _rows(leak: LeakTable) -> list[tuple[Cell, ...]]:
    """One row a figure: those claimed first, in the authors' order, then those measured besides."""
    claims = {figure.name: figure for figure in leak.claims}
    fits = [{figure.name: figure for figure in row.figures} for row in leak.rows]
    names = list(dict.fromkeys([*claims, *(name for fit in fits for name in fit)]))
    return [(name, claims.get(name), *(fit.get(name) for fit in fits)) for name in names]
