"""``preview``: draw training images of a recipe."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import click

from training.cli.options import FOLDER
from training.recipes import find_recipe


@click.command()
@click.argument("recipe")
@click.option("--data", type=FOLDER, required=True, help="Folder that holds the published layout.")
@click.option(
    "--out", type=FOLDER, required=True, help="PNG to write. It shows images of the data set; keep it private."
)
@click.option(
    "--count", type=click.IntRange(1, 40), default=6, show_default=True, help="Number of images, one per row."
)
@click.option(
    "--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Seed of images and augmentations."
)
def preview(recipe: str, data: Path, out: Path, count: int, seed: int) -> None:
    """Draw training images and augmentations.

    Each row shows one training image of RECIPE: as read, as preprocessed, and with five augmentations.
    """
    chosen = find_recipe(recipe)
    if out.suffix.lower() != ".png":
        raise click.BadParameter(f"found {out.name}, expected a name that ends in .png.", param_hint="--out")
    from training.reporting.preview_sheet import words, write_preview

    rows = write_preview(chosen, data, out, count=count, seed=seed)
    for label, shown in Counter(row.label for row in rows).items():
        click.echo(f"{label:24} {shown}")
    click.echo(words(chosen.augmentation))
    click.echo(f"sheet: {out}")
