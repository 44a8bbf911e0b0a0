"""``python -m export spec``: print a spec to start from, of a recipe or like a network of ``keras.applications``."""

from __future__ import annotations

import json
import re

import click

from edge_runtime.bundle.policy import Head
from edge_runtime.preprocessing.steps import Interpolation
from edge_runtime.serialisation.records import to_dict
from export.errors import ExportError
from export.source.keras_networks import find_network, spec_like
from training.recipes import find_recipe


@click.command()
@click.option("--from-recipe", "recipe", help="Recipe name, as listed by python -m training list.")
@click.option("--like", "network", help="Network of keras.applications, such as resnet50.")
@click.option("--size", help="With --like: WIDTHxHEIGHT or SIDE of the input. Default: Keras' own.")
@click.option("--labels", help="With --like: labels in the order of the outputs, with commas between.")
@click.option("--positive", help="With --like: positive labels, with commas between. Default: the last label.")
@click.option("--head", type=click.Choice([head.value for head in Head]), help="With --like. Default: softmax.")
@click.option(
    "--interpolation",
    type=click.Choice([method.value for method in Interpolation]),
    help="With --like: interpolation of the resize. Default: linear, as in tf.image.resize.",
)
def spec(
    recipe: str | None,
    network: str | None,
    size: str | None,
    labels: str | None,
    positive: str | None,
    head: str | None,
    interpolation: str | None,
) -> None:
    """Print a spec as JSON: a recipe's, or one with the preprocess_input of a network of keras.applications.

    Edit it to describe another model. docs/reference/spec.md explains each key.
    """
    choices = {"size": size, "labels": labels, "positive": positive, "head": head, "interpolation": interpolation}
    given = [name for name, value in choices.items() if value is not None]
    if (recipe is None) is (network is None):
        raise click.UsageError("Give either --like NETWORK or --from-recipe NAME.")
    if recipe is not None:
        if given:
            raise click.UsageError(f"--{given[0]} is for --like; a recipe has its own.")
        found = find_recipe(recipe).spec
    else:
        found = spec_like(
            find_network(str(network)),
            size_px=None if size is None else _size(size),
            positive=None if positive is None else _names(positive),
            head=Head(head or Head.SOFTMAX.value),
            interpolation=Interpolation(interpolation or Interpolation.LINEAR.value),
            **({} if labels is None else {"labels": _names(labels)}),
        )
    click.echo(json.dumps(to_dict(found), indent=2, ensure_ascii=False))


def _size(text: str) -> tuple[int, int]:
    read = re.fullmatch(r"(\d{1,5})(?:[x×](\d{1,5}))?", text.strip(), re.ASCII)
    if read is None:
        raise ExportError(f"--size: found {text!r}, expected WIDTHxHEIGHT or SIDE in pixels, such as 320x240 or 224.")
    return int(read[1]), int(read[2] or read[1])


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(","))
