"""The commands of ``python -m export``, one a file; the only place in export that prints or exits."""

from __future__ import annotations

import sys
from typing import Any

import click

from edge_runtime.errors import EdgeError
from edge_runtime.platform.escaped_names import shown_lines
from export.cli.benchmark import benchmark
from export.cli.bundle import bundle
from export.cli.matrix import matrix
from export.cli.report import report
from export.cli.spec import spec
from export.errors import ExportError
from training.errors import TrainingError


class _Group(click.Group):
    """Take ``bundle`` for granted, and turn this project's errors into one line on stderr and exit status 1."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if args and args[0] not in (*self.commands, "--help"):
            args = ["bundle", *args]
        return super().parse_args(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except (ExportError, TrainingError, EdgeError) as error:
            click.echo(f"error: {shown_lines(str(error))}", err=True)
            sys.exit(1)


@click.group(cls=_Group)
def main() -> None:
    """Turn a Keras model into a bundle for devices.

    Without the name of a command, ``bundle`` is meant: python -m export MODEL --calibration DIR --out BUNDLE.
    """


for command in (bundle, spec, report, benchmark, matrix):
    main.add_command(command)
