"""Fit a recipe."""

from __future__ import annotations

from pathlib import Path

import click

from training.cli.options import FOLDER
from training.cli.tables import table_of
from training.recipes import find_recipe


@click.command()
@click.argument("recipe")
@click.option("--data", type=FOLDER, required=True, help="Folder that holds the published layout.")
@click.option("--out", type=FOLDER, required=True, help="New folder for the artifact.")
@click.option("--epochs", type=click.IntRange(min=1), help="Fewer epochs than the recipe's, for a trial.")
@click.option(
    "--weights", metavar="imagenet|PATH", help="Pretrained backbone of a transfer recipe; without it, random weights."
)
def fit(recipe: str, data: Path, out: Path, epochs: int | None, weights: str | None) -> None:
    """Fit RECIPE and write model.keras, spec.json, split.csv, history.csv and metrics.json."""
    chosen = find_recipe(recipe)
    from training.fit import fit as run_fit  # here, so that the other commands start without a framework

    artifact = run_fit(chosen, data, out, epochs=epochs, weights=weights)
    for evaluation in artifact.measured().evaluations:
        click.echo(table_of(evaluation))
    click.echo(f"artifact: {artifact.folder}")
