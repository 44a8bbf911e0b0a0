"""``list``: list the recipes for ``fit``."""

from __future__ import annotations

import click

from training.recipes import RECIPES


@click.command("list")
def list_recipes() -> None:
    """List the recipes."""
    for name, recipe in sorted(RECIPES.items()):
        click.echo(f"{name:36} {recipe.spec.summary}")
        click.echo(f"{'':36} data: {recipe.source.title}; {recipe.source.licence}")
