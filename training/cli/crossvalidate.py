"""``crossvalidate``: measure a recipe on every patient."""

from __future__ import annotations

from pathlib import Path

import click
from click.core import ParameterSource

from training.cli.options import FOLDER
from training.cli.tables import figure_row, site_table, table_of
from training.recipes import find_recipe


@click.command()
@click.argument("recipe")
@click.option("--data", type=FOLDER, required=True, help="Folder that holds the published layout.")
@click.option("--out", type=FOLDER, required=True, help="New folder for the folds, predictions.csv and metrics.json.")
@click.option("--folds", type=click.IntRange(min=3), default=5, show_default=True, help="Number of folds.")
@click.option(
    "--leave-out",
    metavar="TRAIT",
    help="One fold for each value of a trait (site, scanner): fit without it, test on it. Replaces --folds.",
)
@click.option("--epochs", type=click.IntRange(min=1), help="Number of epochs, if fewer than in the recipe.")
@click.option("--seed", type=click.IntRange(min=0), help="Seed of the folds; by default, that of the recipe's split.")
@click.option(
    "--weights",
    metavar="imagenet|PATH",
    help="Pretrained backbone of a transfer recipe. The default is random weights.",
)
@click.option("--resume", is_flag=True, help="Continue in --out; finished folds are not fitted again.")
def crossvalidate(
    recipe: str,
    data: Path,
    out: Path,
    folds: int,
    leave_out: str | None,
    epochs: int | None,
    seed: int | None,
    weights: str | None,
    resume: bool,
) -> None:
    """Cross-validate RECIPE over all patients.

    One network is fitted per fold, so that each patient is tested exactly once. The predictions of all folds are
    measured together. With --leave-out site, each fold tests one site that its network never saw.
    """
    given = click.get_current_context().get_parameter_source("folds") is not ParameterSource.DEFAULT
    if leave_out is not None and given:
        raise click.UsageError("found --folds and --leave-out, expected one of them. The trait's values are the folds.")
    chosen = find_recipe(recipe)
    from training.experiments.cross_validation import (
        crossvalidate as run,  # imported here, so that other commands do not load a framework
    )

    measured = run(
        chosen,
        data,
        out,
        folds=folds,
        leave_out=leave_out,
        epochs=epochs,
        seed=seed,
        weights=weights,
        resume=resume,
        say=lambda line: click.echo(line, err=True),
    )
    if measured.sites is not None:
        click.echo(site_table(measured.sites))
    for evaluation in measured.evaluations:
        click.echo(table_of(evaluation))
    temperatures = ", ".join(f"{value:.3g}" for value in measured.tempered.temperatures)
    click.echo(f"each fold at the temperature fitted on the others: {temperatures}")
    click.echo(figure_row(measured.tempered.calibration.error))
    click.echo(f"  {'by chance, were confidences right':36} {measured.tempered.by_chance:.3f}")
    click.echo(f"metrics: {out / 'metrics.json'}", err=True)
