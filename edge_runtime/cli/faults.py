"""Exit statuses of both commands, and how an error that stops a command is shown."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

import click

from edge_runtime.errors import EdgeError

EXIT_SOME_FAILED = 1

EXIT_CODES = """\b
Exit status:
  0    every picture was answered
  1    some pictures failed (the others were answered)
  2    the command line cannot be used
  3    the model cannot be trusted: missing, altered, or from a newer release
  4    no interpreter can run the model here
  130  interrupted; what was printed is complete"""


@contextmanager
def stops_command() -> Iterator[None]:
    """Show an :class:`EdgeError` on stderr and leave with its exit status."""
    try:
        yield
    except EdgeError as error:
        click.echo(f"error [{error.code}]: {error.message}", err=True)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        click.echo("interrupted; every answer printed so far is complete.", err=True)
        sys.exit(130)
