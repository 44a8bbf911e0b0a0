"""A spec to start from."""

from __future__ import annotations

import json

import click

from edge_runtime.serialisation.records import to_dict
from training.recipes import find_recipe


@click.command()
@click.option("--from-recipe", "recipe", required=True, help="A name that python -m training list shows.")
def spec(recipe: str) -> None:
    """Print a recipe's spec as JSON: change it to describe another model.

    docs/reference/spec.md says what each key means.
    """
    click.echo(json.dumps(to_dict(find_recipe(recipe).spec), indent=2, ensure_ascii=False))
