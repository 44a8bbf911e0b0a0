"""Measure a recipe on every patient."""

from __future__ import annotations

from pathlib import Path

import click

from training.cli.options import FOLDER
from training.cli.tables import figure_row, table_of
from training.recipes import find_recipe


@click.command()
@click.argument("recipe")
@click.option("--data", type=FOLDER, required=True, help="Folder that holds the published layout.")
@click.option("--out", type=FOLDER, required=True, help="New folder for the folds, predictions.csv and metrics.json.")
@click.option("--folds", type=click.IntRange(min=3), default=5, show_default=True)
@click.option("--epochs", type=click.IntRange(min=1), help="Fewer epochs than the recipe's, for a trial.")
@click.option("--seed", type=click.IntRange(min=0), help="Deals the patients; by default as the recipe's split.")
@click.option(
    "--weights", metavar="imagenet|PATH", help="Pretrained backbone of a transfer recipe; without it, random weights."
)
@click.option("--resume", is_flag=True, help="Go on in --out: folds that are fitted are not fitted again.")
def crossvalidate(
    recipe: str,
    data: Path,
    out: Path,
    folds: int,
    epochs: int | None,
    seed: int | None,
    weights: str | None,
    resume: bool,
) -> None:
    """Fit RECIPE once a fold, so that every patient is tested once, and measure all answers together."""
    chosen = find_recipe(recipe)
    from training.experiments.cross_validation import (
        crossvalidate as run,  # here, so that other commands start without a framework
    )

    measured = run(
        chosen,
        data,
        out,
        folds=folds,
        epochs=epochs,
        seed=seed,
        weights=weights,
        resume=resume,
        say=lambda line: click.echo(line, err=True),
    )
    for evaluation in measured.evaluations:
        click.echo(table_of(evaluation))
    temperatures = ", ".join(f"{value:.3g}" for value in measured.tempered.temperatures)
    click.echo(f"each fold at the temperature fitted on the others: {temperatures}")
    click.echo(figure_row(measured.tempered.calibration.error))
    click.echo(f"  {'by chance, were confidences right':36} {measured.tempered.by_chance:.3f}")
    click.echo(f"metrics: {out / 'metrics.json'}", err=True)
