"""``crossvalidate``: measure a recipe on every patient."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click
from click.core import ParameterSource

from edge_runtime.archive.engines import EngineKind, open_engine
from training.cli.options import FOLDER
from training.cli.tables import figure_row, site_table, table_of
from training.recipes import find_recipe

if TYPE_CHECKING:
    from training.experiments.cross_validation_folder import CrossMeasured


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
@click.option(
    "--seed",
    "seeds",
    multiple=True,
    type=click.IntRange(min=0),
    help="Seed of the folds; by default, that of the recipe's split. Repeat it for more runs, in seed-N of --out.",
)
@click.option(
    "--weights",
    metavar="imagenet|PATH",
    help="Pretrained backbone of a transfer recipe. The default is random weights.",
)
@click.option("--resume", is_flag=True, help="Continue in --out; finished folds are not fitted again.")
@click.option(
    "--engine",
    type=click.Choice([kind.value for kind in EngineKind]),
    help="Fit the folds in processes of this engine. By default they are fitted here, one by one.",
)
@click.option("--workers", type=click.IntRange(min=1), help="Processes of the engine; one per core by default.")
@click.option("--address", metavar="ADDRESS", help="A running cluster of Ray or Dask. It needs the same files.")
def crossvalidate(
    recipe: str,
    data: Path,
    out: Path,
    folds: int,
    leave_out: str | None,
    epochs: int | None,
    seeds: tuple[int, ...],
    weights: str | None,
    resume: bool,
    engine: str | None,
    workers: int | None,
    address: str | None,
) -> None:
    """Cross-validate RECIPE over all patients.

    One network is fitted per fold, so that each patient is tested exactly once. The predictions of all folds are
    measured together. With --leave-out site, each fold tests one site that its network never saw.
    """
    _check(leave_out, engine, workers, address, seeds)
    # imported here, so that other commands do not load a framework
    from training.experiments.cross_validation import crossvalidate_seeds

    runs = crossvalidate_seeds(
        find_recipe(recipe),
        data,
        out,
        seeds,
        folds=folds,
        leave_out=leave_out,
        epochs=epochs,
        weights=weights,
        resume=resume,
        engine=None if engine is None else open_engine(EngineKind(engine), workers, address),
        say=lambda line: click.echo(line, err=True),
    )
    for folder, measured in runs:
        if len(seeds) > 1:
            click.echo(f"seed {measured.plan.seed}")
        _print(measured, folder)


def _check(
    leave_out: str | None, engine: str | None, workers: int | None, address: str | None, seeds: tuple[int, ...]
) -> None:
    """Refuse options that contradict each other."""
    given = click.get_current_context().get_parameter_source("folds") is not ParameterSource.DEFAULT
    if leave_out is not None and given:
        raise click.UsageError("found --folds and --leave-out, expected one of them. The trait's values are the folds.")
    if engine is None and (workers or address):
        raise click.UsageError("--workers and --address need --engine.")
    if len(set(seeds)) != len(seeds):
        raise click.UsageError("found a --seed twice, expected each once.")


def _print(measured: CrossMeasured, folder: Path) -> None:
    if measured.sites is not None:
        click.echo(site_table(measured.sites))
    for evaluation in measured.evaluations:
        click.echo(table_of(evaluation))
    temperatures = ", ".join(f"{value:.3g}" for value in measured.tempered.temperatures)
    click.echo(f"each fold at the temperature fitted on the others: {temperatures}")
    click.echo(figure_row(measured.tempered.calibration.error))
    click.echo(f"  {'by chance, were confidences right':36} {measured.tempered.by_chance:.3f}")
    click.echo(f"metrics: {folder / 'metrics.json'}", err=True)
