"""``leak``: measure how much the original program's split inflates the figures."""

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
@click.option("--epochs", type=click.IntRange(min=1), help="Number of epochs, if fewer than in the recipe.")
def leak(recipe: str, data: Path, out: Path, epochs: int | None) -> None:
    """Measure the effect of a leaking split.

    RECIPE is fitted twice: on the original program's split by file, and on a split by patient. Both results are
    printed beside the published figures.
    """
    from training.experiments.leak import measure_leak

    tail = "" if epochs is None else f" --epochs {epochs}"
    command = f"python -m training leak {recipe} --data DIR --out DIR{tail}"
    click.echo(leak_table(measure_leak(find_recipe(recipe), data, out, command, epochs)))
    click.echo(f"table: {out / 'leak.json'}", file=sys.stderr)
