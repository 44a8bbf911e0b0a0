"""The commands of ``python -m export``, one per file. Only this package of export prints or exits."""

from __future__ import annotations

import sys
from typing import Any

import click

from edge_runtime.errors import EdgeError
from edge_runtime.platform.escaped_names import shown_lines
from export.cli.benchmark import benchmark
from export.cli.bundle import bundle
from export.cli.coverage import coverage
from export.cli.matrix import matrix
from export.cli.reference import reference
from export.cli.report import report
from export.cli.spec import spec
from export.errors import ExportError
from training.errors import TrainingError


class _Group(click.Group):
    """Make ``bundle`` the default command; print this project's errors on one line of stderr and exit with status 1."""

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
    """Export a Keras model as a bundle for devices.

    The default command is bundle: python -m export MODEL --calibration DIR --out BUNDLE.
    """


for command in (bundle, spec, reference, report, benchmark, matrix, coverage):
    main.add_command(command)
