"""Measure what the original split is worth."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from training.cli.options import FOLDER
from training.cli.tables import leak_table
from training.recipes import find_recipe


@click.command()
@click.argument("recipe")
@click.option("--data", type=FOLDER, required=True, help="Folder that holds the published layout.")
@click.option("--out", type=FOLDER, required=True, help="New folder for leak.json and both histories.")
@click.option("--epochs", type=click.IntRange(min=1), help="Fewer epochs than the recipe's, for a trial.")
def leak(recipe: str, data: Path, out: Path, epochs: int | None) -> None:
    """Fit RECIPE twice, on its program's own split and on one by patient, and print both beside the claim."""
    from training.experiments.leak import measure_leak

    tail = "" if epochs is None else f" --epochs {epochs}"
    command = f"python -m training leak {recipe} --data DIR --out DIR{tail}"
    click.echo(leak_table(measure_leak(find_recipe(recipe), data, out, command, epochs)))
    click.echo(f"table: {out / 'leak.json'}", file=sys.stderr)
