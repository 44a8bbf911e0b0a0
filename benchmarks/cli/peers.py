"""``python -m benchmarks peers``."""

from __future__ import annotations

import click

from benchmarks.contestant import NoFiguresError
from benchmarks.environments import ENVIRONMENTS, FOLDER, Environment


@click.command()
@click.option("--install", is_flag=True, help="Make the environments of the peers named, or of all.")
@click.argument("names", nargs=-1, type=click.Choice([each.name for each in ENVIRONMENTS]))
def peers(install: bool, names: tuple[str, ...]) -> None:
    """List the peers that need an environment of their own, or install them with pip."""
    for each in ENVIRONMENTS:
        if not names or each.name in names:
            click.echo(f"{each.name:20} {_state(each, install)}")
    click.echo(f"The environments are in {FOLDER}. LiteRT, onnxruntime and Keras are in this one (extra dev).")


def _state(each: Environment, install: bool) -> str:
    try:
        if install:
            each.install()
        return f"{each.python.parent.parent}: {', '.join(each.requirements)}"
    except NoFiguresError as reason:
        return str(reason)
