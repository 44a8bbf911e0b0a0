"""Exit statuses of the commands, and how an error that stops a command is shown."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

import click

from edge_runtime.errors import EdgeError, MachineError
from edge_runtime.machine import machine_faults

EXIT_SOME_FAILED = 1
EXIT_SIGNAL = 128
"""Added to a signal's number, as a shell does: 130 for Ctrl-C (SIGINT), 143 for SIGTERM."""

EXIT_CODES = """\b
Exit status:
  0    every picture was answered; a watch was ended
  1    some pictures failed (the others were answered)
  2    the command line or the results file cannot be used
  3    the model cannot be trusted: missing, altered, not signed by the trusted key, or from a newer release
  4    no interpreter can run the model here
  5    an answer could not be written: the disk is full or gone
  6    the machine failed (memory, descriptors, I/O); ask again, what was answered stands
  130  interrupted; what was printed or written is complete (143: SIGTERM)"""


def leave_with(failed: int, of_machine: int) -> None:
    """End the command with the status of what was not answered: of the images' faults, or of the machine's."""
    if of_machine:
        sys.exit(MachineError.exit_code)
    if failed:
        sys.exit(EXIT_SOME_FAILED)


@contextmanager
def stops_command() -> Iterator[None]:
    """Show an :class:`EdgeError` on stderr and leave with its exit status; also what the machine failed at."""
    try:
        with machine_faults("edge-predict"):
            yield
    except EdgeError as error:
        click.echo(f"error [{error.code}]: {error.message}", err=True)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        click.echo("interrupted; every answer printed or written so far is complete.", err=True)
        sys.exit(130)
