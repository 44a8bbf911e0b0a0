"""``neighbours``: measure the effect of averaging a tile with its neighbours."""

from __future__ import annotations

from pathlib import Path

import click

from training.cli.options import FOLDER
from training.cli.tables import figure_row


@click.command()
@click.argument("crossvalidated", type=FOLDER)
def neighbours(crossvalidated: Path) -> None:
    """Measure the effect of smoothing over tiles.

    The logits of each IDC patch are averaged with those of its neighbours, under several weights. CROSSVALIDATED is a
    folder that the command crossvalidate wrote.
    """
    from training.experiments.neighbours import COMPLETE_NEIGHBOURS, COMPLETE_SHARE, measure_neighbours

    click.echo(
        f"a slide is complete where {COMPLETE_SHARE:.0%} of its patches or more have {COMPLETE_NEIGHBOURS} neighbours "
        "or more of eight; 95 % intervals by bootstrap over patients; gains over weight 0 are paired"
    )
    for kind in measure_neighbours(crossvalidated):
        click.echo(f"{kind.name}: {kind.patches} patches of {kind.patients} patients, {kind.positives} positive")
        for row in kind.rows:
            click.echo(f" weight {row.weight:g}")
            for figure in row.figures:
                click.echo(figure_row(figure))
