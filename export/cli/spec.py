"""``python -m export spec``: print a recipe's spec as a starting point."""

from __future__ import annotations

import json

import click

from edge_runtime.serialisation.records import to_dict
from training.recipes import find_recipe


@click.command()
@click.option("--from-recipe", "recipe", required=True, help="Recipe name, as listed by python -m training list.")
def spec(recipe: str) -> None:
    """Print a recipe's spec as JSON.

    Edit it to describe another model. docs/reference/spec.md explains each key.
    """
    click.echo(json.dumps(to_dict(find_recipe(recipe).spec), indent=2, ensure_ascii=False))
