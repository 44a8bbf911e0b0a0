"""Commands of ``python -m training``, one per file. No other module of training prints or exits."""

from __future__ import annotations

import sys
from typing import Any

import click

from edge_runtime.errors import EdgeError
from edge_runtime.platform.escaped_names import shown_lines
from training.cli.audit import audit
from training.cli.crossvalidate import crossvalidate
from training.cli.decide import decide
from training.cli.evaluate import evaluate
from training.cli.familiarity import familiarity
from training.cli.fit import fit
from training.cli.leak import leak
from training.cli.list_recipes import list_recipes
from training.cli.localise import localise
from training.cli.neighbours import neighbours
from training.cli.phantoms import phantoms
from training.cli.preview import preview
from training.cli.samples import samples
from training.cli.settle import settle
from training.cli.slide import slide
from training.errors import TrainingError


class _Group(click.Group):
    """Report this project's errors as one line on stderr, with exit status 1."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except (TrainingError, EdgeError, FileExistsError) as error:
            click.echo(f"error: {shown_lines(str(error))}", err=True)
            sys.exit(1)


@click.group(cls=_Group)
def main() -> None:
    """Train breast-imaging classifiers and measure them on held-out patients."""


for command in (
    *(list_recipes, preview, audit),
    *(fit, crossvalidate, neighbours, leak),
    *(decide, evaluate, familiarity, localise, slide),
    *(samples, phantoms, settle),
):
    main.add_command(command)
