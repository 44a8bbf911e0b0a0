"""``familiarity``: measure how many images the out-of-distribution check of a model refers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from edge_runtime.serialisation.records import to_dict
from training.artifact import Artifact
from training.cli.options import FOLDER

if TYPE_CHECKING:
    from training.evaluation.out_of_distribution import FamiliarityTable, ReferredShare


@click.command()
@click.argument("artifact", type=FOLDER)
@click.option("--data", type=FOLDER, required=True, help="Folder that holds the published layout.")
@click.option("--others", type=FOLDER, multiple=True, help="Folder of images the model is not made for. Repeatable.")
@click.option(
    "--share",
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    default=0.01,
    show_default=True,
    help="Share of own images to refer, if ARTIFACT has no check yet and one is fitted here.",
)
@click.option("--most", type=click.IntRange(min=1), default=1000, show_default=True, help="Most images of each kind.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of a table.")
def familiarity(artifact: Path, data: Path, others: tuple[Path, ...], share: float, most: int, as_json: bool) -> None:
    """Measure the out-of-distribution check.

    Count how many of ARTIFACT's own test images are referred, and how many images of other kinds.
    """
    from training.evaluation.out_of_distribution import measure_familiarity

    table = measure_familiarity(Artifact(artifact), data, others, share=share, most=most)
    click.echo(json.dumps(to_dict(table)) if as_json else _text(table))


def _text(table: FamiliarityTable) -> str:
    fitted = "fitted for this table, kept nowhere" if table.fitted_here else "of the artifact"
    head = f"{table.model} {table.version}: limit {table.limit:g}, {fitted}; 95 % intervals for independent images"
    columns = f"  {'kind':32} {'images':>8} {'referred':>8}  share"
    return "\n".join([head, columns, *(_row(row) for row in table.rows)])


def _row(row: ReferredShare) -> str:
    tail = f"  ({row.unreadable} refused by the runtime)" if row.unreadable else ""
    if not row.images:
        return f"  {row.kind:32} {0:8} {0:8}  {tail.strip()}"
    return f"  {row.kind:32} {row.images:8} {row.referred:8}  {row.share:.4f} [{row.low:.4f}, {row.high:.4f}]{tail}"
